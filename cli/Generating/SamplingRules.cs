using Flamingo.Stages;

namespace Flamingo.Cli.Generating;

/// <summary>Ranges that hold for every model, checked before one is loaded; the service checks the rest (context length, vocabulary).</summary>
public static class SamplingRules
{
    public static IEnumerable<string> Faults(SamplingParameters sampling)
    {
        if (sampling.MaxTokens < 1) yield return $"sampling.max_tokens: {sampling.MaxTokens} is out of range. Use at least 1.";
        if (!(sampling.Temperature is >= 0 and <= 2)) yield return $"sampling.temperature: {sampling.Temperature} is out of range. Use 0 (greedy) to 2.";
        if (sampling.TopK < 0) yield return $"sampling.top_k: {sampling.TopK} is out of range. Use 0 (all) or more.";
        if (!(sampling.TopP is > 0 and <= 1)) yield return $"sampling.top_p: {sampling.TopP} is out of range. Use more than 0 and at most 1.";
        if (!(sampling.RepetitionPenalty is >= 0.1f and <= 10)) yield return $"sampling.repetition_penalty: {sampling.RepetitionPenalty} is out of range. Use 0.1 to 10.";
        if (sampling.StopStrings.Count > 16 || sampling.StopStrings.Any(stop => stop.Length is 0 or > 256))
            yield return "sampling.stop_strings: use at most 16 strings of 1 to 256 characters.";
    }
}
