using System.Numerics.Tensors;
using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.Sampling;

/// <summary>
/// Chooses the next token. Order: bias, allowed tokens, repetition penalty, temperature, top-k, top-p; ties go to the lower id.
/// </summary>
public static class TokenSampler
{
    /// <param name="logits">[vocabulary]; changed in place.</param>
    /// <param name="seen">Ids that prompt or answer already hold.</param>
    /// <param name="position">Position of the token to choose in the whole sequence: the generator's counter.</param>
    /// <param name="sample">Which of several answers; each draws with a seed of its own.</param>
    /// <exception cref="FlamingoException">Internal: a logit is not finite.</exception>
    public static int Next(Span<float> logits, SamplingParameters sampling, IReadOnlySet<int> seen, int position, int sample = 0)
    {
        CheckFinite(logits);
        Adjust(logits, sampling, seen);
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
        new(FlamingoErrorKind.Internal, "The model produced a non-finite logit; this request was stopped, others are not affected.");

    /// <summary>What changes scores before one is chosen: bias, allowed tokens, repetition penalty.</summary>
    public static void Adjust(Span<float> scores, SamplingParameters sampling, IReadOnlySet<int> seen)
    {
        foreach (var (id, bias) in sampling.LogitBias) scores[id] += bias;
        if (sampling.AllowedTokens.Count > 0)
        {
            var allowed = sampling.AllowedTokens.ToHashSet();
            for (var id = 0; id < scores.Length; id++)
                if (!allowed.Contains(id)) scores[id] = float.NegativeInfinity;
        }

        if (sampling.RepetitionPenalty == 1) return;
        foreach (var id in seen)
            if (id < scores.Length)
                scores[id] = scores[id] > 0 ? scores[id] / sampling.RepetitionPenalty : scores[id] * sampling.RepetitionPenalty;
    }

    private static int Greedy(ReadOnlySpan<float> logits) => TensorPrimitives.IndexOfMax(logits);

    private static int Draw(ReadOnlySpan<float> logits, SamplingParameters sampling, ulong seed, int position)
    {
        // relative to the most likely token, so that weights are at most 1
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

        return kept.Last(id => weights[id] > 0); // rounding may leave a rest behind the last token
    }

    /// <summary>The tokens among which is drawn where top-k or top-p is on, most likely first.</summary>
    private static int[] Kept(float[] logits, double[] weights, SamplingParameters sampling)
    {
        // by logits: weights round near-ties to ties, and then top-k 1 would not be greedy
        var order = Comparer<int>.Create((a, b) => logits[a] != logits[b] ? logits[b].CompareTo(logits[a]) : a.CompareTo(b));
        var whole = sampling.TopK == 0 ? weights.Sum() : 0;

        // sorts no more of a large vocabulary than is needed: everything above a threshold that falls until it is enough
        for (var threshold = 1e-2; ; threshold = threshold > 1e-100 ? threshold * threshold : 0)
        {
            var ids = Enumerable.Range(0, weights.Length).Where(id => weights[id] >= threshold).ToArray();
            if (sampling.TopK > 0 && ids.Length < Math.Min(sampling.TopK, weights.Length)) continue;
            Array.Sort(ids, order);
            if (sampling.TopK > 0) ids = ids[..Math.Min(sampling.TopK, ids.Length)];
            if (sampling.TopP == 1) return ids;

            // the smallest set whose probability (among the top k, where both are on) reaches top-p
            var (mass, needed) = (0.0, sampling.TopP * (sampling.TopK > 0 ? ids.Sum(id => weights[id]) : whole));
            for (var rank = 0; rank < ids.Length; rank++)
                if ((mass += weights[ids[rank]]) >= needed) return ids[..(rank + 1)];
            if (ids.Length == weights.Length || sampling.TopK > 0) return ids;
        }
    }
}
