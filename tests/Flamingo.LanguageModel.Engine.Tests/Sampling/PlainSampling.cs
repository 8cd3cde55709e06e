using Flamingo.Abstractions;
using Flamingo.LanguageModel.Engine.Sampling;

namespace Flamingo.LanguageModel.Engine.Tests.Sampling;

/// <summary>
/// The choice of one token, computed from the whole prompt and answer by the definitions of OpenAI, vLLM and transformers. It is slow, and
/// it shares only the random numbers with the engine's own sampler.
/// </summary>
internal static class PlainSampling
{
    /// <summary>The scores [vocabulary] after all steps before the temperature. A forbidden token has −∞.</summary>
    public static float[] Adjusted(
        IReadOnlyList<float> scores, IReadOnlyList<int> prompt, IReadOnlyList<int> answer, SamplingParameters sampling,
        IReadOnlyList<int> modelStops)
    {
        IReadOnlyList<int> all = [.. prompt, .. answer];
        return [.. scores.Select((score, token) =>
        {
            score += sampling.LogitBias.GetValueOrDefault(token);
            if (all.Contains(token))
                score = score > 0 ? score / sampling.RepetitionPenalty : score * sampling.RepetitionPenalty;
            var count = answer.Count(id => id == token);
            score = score - (sampling.FrequencyPenalty * count) - (sampling.PresencePenalty * (count > 0 ? 1 : 0));
            var forbidden = (sampling.AllowedTokens.Count > 0 && !sampling.AllowedTokens.Contains(token))
                || (sampling.NoRepeatNgramSize > 0 && RepeatsNgram([.. all, token], sampling.NoRepeatNgramSize))
                || (answer.Count < sampling.MinTokens && (modelStops.Contains(token) || sampling.StopTokens.Contains(token)));
            return forbidden ? float.NegativeInfinity : score;
        })];
    }

    /// <returns>Null if no token may follow.</returns>
    public static int? Next(
        IReadOnlyList<float> logits, IReadOnlyList<int> prompt, IReadOnlyList<int> answer, SamplingParameters sampling,
        IReadOnlyList<int> modelStops, int sample)
    {
        var scores = Adjusted(logits, prompt, answer, sampling, modelStops);
        var most = scores.Max();
        if (float.IsNegativeInfinity(most)) return null;
        var ranked = Enumerable.Range(0, scores.Length).OrderByDescending(token => scores[token]).ToList(); // stable
        if (sampling.Temperature == 0) return ranked[0];

        var weights = scores.Select(score => Math.Exp((score - most) / (double)sampling.Temperature)).ToArray();
        if (sampling.TopK > 0) ranked = [.. ranked.Take(sampling.TopK)];
        if (sampling.TopP < 1)
        {
            var needed = sampling.TopP * ranked.Sum(token => weights[token]);
            ranked = [.. ranked.Where((_, rank) => ranked.Take(rank).Sum(token => weights[token]) < needed)];
        }

        ranked = [.. ranked.Where(token => weights[token] >= sampling.MinP * weights.Max())];
        if (sampling is { TopK: 0, TopP: 1 }) ranked = [.. ranked.Order()]; // the sampler sorts only where it must
        var seed = unchecked((sampling.Seed ?? 0) + (ulong)sample);
        var target = CounterGenerator.Uniform(seed, prompt.Count + answer.Count) * ranked.Sum(token => weights[token]);
        return ranked.First(token => (target -= weights[token]) < 0);
    }

    private static bool RepeatsNgram(IReadOnlyList<int> ids, int size) =>
        Enumerable.Range(0, Math.Max(0, ids.Count - size))
            .Any(begin => ids.Skip(begin).Take(size).SequenceEqual(ids.TakeLast(size)));
}
