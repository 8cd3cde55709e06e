using System.Numerics.Tensors;
using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.Sampling;

/// <summary>
/// Chooses the next token. The steps are, in this order: bias, allowed tokens, repetition penalty, frequency and presence penalty,
/// n-grams that would repeat, minimum number of tokens, temperature, top-k, top-p, min-p. Of equal logits the lower id is chosen. A request
/// has one sampler, so that its lists are read once and not in every step; each of its sequences has a <see cref="TokenHistory"/>.
/// </summary>
/// <param name="modelStops">Token ids at which answers end besides the request's own.</param>
public sealed class TokenSampler(SamplingParameters sampling, IReadOnlyCollection<int> modelStops)
{
    private readonly bool[]? _allowed = Mask(sampling.AllowedTokens);
    private readonly int[] _stops = [.. modelStops, .. sampling.StopTokens];

    /// <summary>Whether the token with the highest logit of the model is always the next one.</summary>
    public bool TakesOnlyBest { get; } = sampling is
    {
        Temperature: 0, RepetitionPenalty: 1, FrequencyPenalty: 0, PresencePenalty: 0, NoRepeatNgramSize: 0, MinTokens: 0,
        LogitBias.Count: 0, AllowedTokens.Count: 0,
    };

    /// <param name="logits">[vocabulary]; changed in place.</param>
    /// <param name="history">The tokens before the one to choose.</param>
    /// <param name="position">Position, in the whole sequence, of the token to choose. It is the counter of the random number
    /// generator.</param>
    /// <param name="sample">Index of the answer; each answer has its own seed.</param>
    /// <exception cref="FlamingoException">
    /// Internal: a logit is not finite. InvalidArgument: the sampling parameters leave no token.
    /// </exception>
    public int Next(Span<float> logits, TokenHistory history, int position, int sample = 0)
    {
        CheckFinite(logits);
        Adjust(logits, history);
        var best = TensorPrimitives.IndexOfMax(logits);
        if (float.IsNegativeInfinity(logits[best])) throw NoTokenLeft(history);
        if (!float.IsFinite(logits[best])) throw NotFinite();
        return sampling.Temperature == 0
            ? best
            : Draw(logits, logits[best], sampling, unchecked((sampling.Seed ?? 0) + (ulong)sample), position);
    }

    /// <exception cref="FlamingoException">Internal: a logit is not finite.</exception>
    public static void CheckFinite(ReadOnlySpan<float> logits)
    {
        if (!TensorPrimitives.IsFiniteAll(logits)) throw NotFinite();
    }

    public static FlamingoException NotFinite() =>
        new(FlamingoErrorKind.Internal,
            "The model produced a non-finite logit. This request was stopped; other requests are not affected.");

    /// <summary>The error of a request whose parameters forbid every token; it names each parameter that takes part.</summary>
    public FlamingoException NoTokenLeft(TokenHistory history)
    {
        var problem = $"At token {history.Generated + 1} of the answer no token is left to choose.";
        List<FieldFault> faults = [];
        if (_allowed is not null) faults.Add(new("sampling.allowed_tokens", problem, "Allow more tokens."));
        if (sampling.NoRepeatNgramSize > 0)
            faults.Add(new("sampling.no_repeat_ngram_size", problem, "Send a larger size, or 0, or a smaller max_tokens."));
        if (history.Generated < sampling.MinTokens)
            faults.Add(new("sampling.min_tokens", problem, $"Send at most {history.Generated}, or fewer stop_tokens."));
        return faults.Count > 0 ? FlamingoException.Invalid(faults) : NotFinite();
    }

    /// <summary>Applies all steps before the temperature to the scores, in place. The score of a forbidden token becomes −∞.</summary>
    public void Adjust(Span<float> scores, TokenHistory history)
    {
        foreach (var (id, bias) in sampling.LogitBias) scores[id] += bias;
        if (_allowed is not null)
        {
            for (var id = 0; id < scores.Length; id++)
                if (id >= _allowed.Length || !_allowed[id]) scores[id] = float.NegativeInfinity;
        }

        foreach (var id in history.Seen)
            if (id < scores.Length)
                scores[id] = scores[id] > 0 ? scores[id] / sampling.RepetitionPenalty : scores[id] * sampling.RepetitionPenalty;
        foreach (var (id, count) in history.Counts)
            scores[id] = scores[id] - (sampling.FrequencyPenalty * count) - sampling.PresencePenalty;
        ForbidRepeats(scores, history.Ids, sampling.NoRepeatNgramSize);
        if (history.Generated >= sampling.MinTokens) return;
        foreach (var id in _stops)
            if (id < scores.Length) scores[id] = float.NegativeInfinity;
    }

    // Forbids each token that would end an n-gram which the ids hold already: their last size − 1 ids are searched among the earlier ones.
    private static void ForbidRepeats(Span<float> scores, ReadOnlySpan<int> ids, int size)
    {
        if (size == 0 || ids.Length < size) return;
        var last = ids[(ids.Length - size + 1)..];
        for (var begin = 0; begin + size <= ids.Length; begin++)
        {
            var found = ids[begin..^1].IndexOf(last);
            if (found < 0) return;
            begin += found;
            var id = ids[begin + size - 1];
            if (id < scores.Length) scores[id] = float.NegativeInfinity;
        }
    }

    // For each id up to the largest allowed one, whether it is allowed; null if all are.
    private static bool[]? Mask(IReadOnlyList<int> allowed)
    {
        if (allowed.Count == 0) return null;
        var mask = new bool[allowed.Max() + 1];
        foreach (var id in allowed) mask[id] = true;
        return mask;
    }

    /// <param name="most">The largest logit.</param>
    private static int Draw(ReadOnlySpan<float> logits, float most, SamplingParameters sampling, ulong seed, int position)
    {
        // Weights are relative to the most likely token, so that its weight is 1 and none exceeds it.
        var weights = new double[logits.Length];
        for (var id = 0; id < weights.Length; id++) weights[id] = Math.Exp((logits[id] - most) / (double)sampling.Temperature);
        var kept = sampling.TopK == 0 && sampling.TopP == 1
            ? [.. Enumerable.Range(0, weights.Length)]
            : Kept(logits.ToArray(), weights, sampling);
        if (sampling.MinP > 0)
        {
            foreach (var id in kept)
                if (weights[id] < sampling.MinP) weights[id] = 0;
        }

        var sum = 0.0;
        foreach (var id in kept) sum += weights[id];
        var target = CounterGenerator.Uniform(seed, position) * sum;
        foreach (var id in kept)
        {
            target -= weights[id];
            if (target < 0) return id;
        }

        return kept.Last(id => weights[id] > 0); // rounding may leave a small remainder after the last token
    }

    /// <summary>The tokens that top-k and top-p keep, most likely first.</summary>
    private static int[] Kept(float[] logits, double[] weights, SamplingParameters sampling)
    {
        // Sorts by logits, not by weights: rounding makes weights equal whose logits differ, and then top-k 1 would not be greedy.
        var order = Comparer<int>.Create((a, b) => logits[a] != logits[b] ? logits[b].CompareTo(logits[a]) : a.CompareTo(b));
        var whole = sampling.TopK == 0 ? weights.Sum() : 0;

        // Sorts only the part of a large vocabulary that is needed: the ids above a threshold, which is lowered until they suffice.
        for (var threshold = 1e-2; ; threshold = threshold > 1e-100 ? threshold * threshold : 0)
        {
            var ids = Enumerable.Range(0, weights.Length).Where(id => weights[id] >= threshold).ToArray();
            if (sampling.TopK > 0 && ids.Length < Math.Min(sampling.TopK, weights.Length)) continue;
            Array.Sort(ids, order);
            if (sampling.TopK > 0) ids = ids[..Math.Min(sampling.TopK, ids.Length)];
            if (sampling.TopP == 1) return ids;

            // The smallest set whose probability reaches top-p; with top-k, the probability among the top k.
            var (mass, needed) = (0.0, sampling.TopP * (sampling.TopK > 0 ? ids.Sum(id => weights[id]) : whole));
            for (var rank = 0; rank < ids.Length; rank++)
                if ((mass += weights[ids[rank]]) >= needed) return ids[..(rank + 1)];
            if (ids.Length == weights.Length || sampling.TopK > 0) return ids;
        }
    }
}
