using System.Numerics.Tensors;
using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.Sampling;

/// <summary>
/// Chooses the next token. The steps are, in this order: bias, allowed tokens, repetition penalty, temperature, top-k, top-p. Of
/// equal logits the lower id is chosen. A request has one sampler, so that its list of allowed tokens is read once and not in every step.
/// </summary>
public sealed class TokenSampler(SamplingParameters sampling)
{
    private readonly bool[]? _allowed = Mask(sampling.AllowedTokens);

    /// <param name="logits">[vocabulary]; changed in place.</param>
    /// <param name="seen">Ids that occur in the prompt or in the answer so far.</param>
    /// <param name="position">Position, in the whole sequence, of the token to choose. It is the counter of the random number
    /// generator.</param>
    /// <param name="sample">Index of the answer; each answer has its own seed.</param>
    /// <exception cref="FlamingoException">Internal: a logit is not finite.</exception>
    public int Next(Span<float> logits, IReadOnlySet<int> seen, int position, int sample = 0)
    {
        CheckFinite(logits);
        Adjust(logits, seen);
        return sampling.Temperature == 0
            ? Greedy(logits)
            : Draw(logits, sampling, unchecked((sampling.Seed ?? 0) + (ulong)sample), position);
    }

    /// <exception cref="FlamingoException">Internal: a logit is not finite.</exception>
    public static void CheckFinite(ReadOnlySpan<float> logits)
    {
        if (!TensorPrimitives.IsFiniteAll(logits)) throw NotFinite();
    }

    public static FlamingoException NotFinite() =>
        new(FlamingoErrorKind.Internal,
            "The model produced a non-finite logit. This request was stopped; other requests are not affected.");

    /// <summary>Applies logit bias, allowed tokens and repetition penalty to the scores, in place.</summary>
    public void Adjust(Span<float> scores, IReadOnlySet<int> seen)
    {
        foreach (var (id, bias) in sampling.LogitBias) scores[id] += bias;
        if (_allowed is not null)
        {
            for (var id = 0; id < scores.Length; id++)
                if (id >= _allowed.Length || !_allowed[id]) scores[id] = float.NegativeInfinity;
        }

        if (sampling.RepetitionPenalty == 1) return;
        foreach (var id in seen)
            if (id < scores.Length)
                scores[id] = scores[id] > 0 ? scores[id] / sampling.RepetitionPenalty : scores[id] * sampling.RepetitionPenalty;
    }

    // For each id up to the largest allowed one, whether it is allowed; null if all are.
    private static bool[]? Mask(IReadOnlyList<int> allowed)
    {
        if (allowed.Count == 0) return null;
        var mask = new bool[allowed.Max() + 1];
        foreach (var id in allowed) mask[id] = true;
        return mask;
    }

    private static int Greedy(ReadOnlySpan<float> logits) => TensorPrimitives.IndexOfMax(logits);

    private static int Draw(ReadOnlySpan<float> logits, SamplingParameters sampling, ulong seed, int position)
    {
        // Weights are relative to the most likely token, so that none exceeds 1.
        var most = TensorPrimitives.Max(logits);
        var weights = new double[logits.Length];
        for (var id = 0; id < weights.Length; id++) weights[id] = Math.Exp((logits[id] - most) / (double)sampling.Temperature);
        var kept = sampling.TopK == 0 && sampling.TopP == 1
            ? [.. Enumerable.Range(0, weights.Length)]
            : Kept(logits.ToArray(), weights, sampling);

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
