using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.Sampling;

/// <summary>Natural log-probabilities from logits.</summary>
public static class LogProbabilities
{
    /// <param name="logits">[vocabulary]; finite.</param>
    /// <returns>A new array [vocabulary] of log-probabilities; the sum is computed in float64.</returns>
    public static float[] LogSoftmax(ReadOnlySpan<float> logits)
    {
        var most = float.NegativeInfinity;
        foreach (var logit in logits) most = Math.Max(most, logit);
        var sum = 0.0;
        foreach (var logit in logits) sum += Math.Exp((double)logit - most);
        var logSum = Math.Log(sum);
        var result = new float[logits.Length];
        for (var id = 0; id < result.Length; id++) result[id] = (float)((double)logits[id] - most - logSum);
        return result;
    }

    /// <param name="textOf">Gives the UTF-8 text of a token.</param>
    public static TokenLogProbability Of(ReadOnlySpan<float> logProbabilities, int token, int top, Func<int, ReadOnlyMemory<byte>> textOf)
    {
        // holds the best so far: the least likely first, of equal ones the higher id first
        var best = new PriorityQueue<int, (float LogProbability, int Order)>();
        for (var id = 0; id < logProbabilities.Length && top > 0; id++)
        {
            if (best.Count < top) best.Enqueue(id, (logProbabilities[id], -id));
            else if (best.TryPeek(out _, out var least) && logProbabilities[id] > least.LogProbability)
                best.EnqueueDequeue(id, (logProbabilities[id], -id));
        }

        var list = new List<(int, float)>(best.Count);
        while (best.TryDequeue(out var id, out var priority)) list.Add((id, priority.LogProbability));
        list.Reverse();
        return new TokenLogProbability(token, logProbabilities[token], list)
        {
            Texts = [textOf(token), .. list.Select(item => textOf(item.Item1))],
        };
    }
}
