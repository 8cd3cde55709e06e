using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.Sampling;

/// <summary>Chooses the next token. Order: repetition penalty, temperature, top-k, top-p; ties go to the lower id.</summary>
public static class TokenSampler
{
    /// <param name="logits">[vocabulary]; changed in place.</param>
    /// <param name="seen">Ids that prompt or answer already hold.</param>
    /// <param name="position">Position of the token to choose in the whole sequence: the generator's counter.</param>
    /// <exception cref="StageException">Internal: a logit is not finite.</exception>
    public static int Next(Span<float> logits, SamplingParameters sampling, IReadOnlySet<int> seen, int position)
    {
        foreach (var logit in logits)
            if (!float.IsFinite(logit)) throw new StageException(StageErrorKind.Internal, "The model produced a non-finite logit; this request was stopped, others are not affected.");

        if (sampling.RepetitionPenalty != 1)
            foreach (var id in seen)
                if (id < logits.Length) logits[id] = logits[id] > 0 ? logits[id] / sampling.RepetitionPenalty : logits[id] * sampling.RepetitionPenalty;

        return sampling.Temperature == 0 ? Greedy(logits) : Draw(logits, sampling, position);
    }

    private static int Greedy(ReadOnlySpan<float> logits)
    {
        var best = 0;
        for (var id = 1; id < logits.Length; id++)
            if (logits[id] > logits[best]) best = id;
        return best;
    }

    private static int Draw(ReadOnlySpan<float> logits, SamplingParameters sampling, int position)
    {
        var keys = logits.ToArray();
        var ids = Enumerable.Range(0, keys.Length).ToArray();
        var order = Comparer<int>.Create((a, b) => keys[a] != keys[b] ? keys[b].CompareTo(keys[a]) : a.CompareTo(b));
        Array.Sort(ids, order);                                                   // most likely first
        var kept = sampling.TopK > 0 ? Math.Min(sampling.TopK, ids.Length) : ids.Length;
        var weights = new double[kept];
        var sum = 0.0;
        for (var rank = 0; rank < kept; rank++) sum += weights[rank] = Math.Exp((keys[ids[rank]] - keys[ids[0]]) / (double)sampling.Temperature);

        // the smallest set whose probability reaches top-p
        if (sampling.TopP < 1)
        {
            var (mass, whole) = (0.0, sum);
            for (var rank = 0; rank < kept; rank++)
            {
                mass += weights[rank];
                if (mass < sampling.TopP * whole) continue;
                (kept, sum) = (rank + 1, mass);
                break;
            }
        }

        var target = CounterGenerator.Uniform(sampling.Seed ?? 0, position) * sum;
        for (var rank = 0; rank < kept; rank++)
        {
            target -= weights[rank];
            if (target < 0) return ids[rank];
        }

        return ids[kept - 1]; // rounding left a sliver
    }
}
