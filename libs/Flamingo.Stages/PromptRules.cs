using System.Numerics;
using static System.FormattableString;

namespace Flamingo.Stages;

/// <summary>What every prompt must obey, checked by the Gateway and again by the LanguageModel; all faults at once.</summary>
public static class PromptRules
{
    public const int MostSegments = 1024;

    public static void CheckTexts(IEnumerable<(int Index, string Text)> texts, LanguageModelDescription model, List<FieldFault> faults)
    {
        foreach (var (index, text) in texts)
        {
            foreach (var marker in model.PictureMarkers.Where(marker => text.Contains(marker, StringComparison.Ordinal)))
                faults.Add(new($"segments[{index}].text", $"The text holds the picture marker '{marker}'.", "Send the picture as a segment of its own; the service places the marker."));
        }
    }

    public static void CheckSegmentCount(int count, List<FieldFault> faults)
    {
        if (count == 0) faults.Add(new("segments", "The prompt is empty.", "Send at least one text or picture."));
        if (count > MostSegments) faults.Add(new("segments", $"{count} segments are more than {MostSegments}.", "Join neighbouring texts or send fewer examples."));
    }

    public static void CheckSampling(SamplingParameters sampling, LanguageModelDescription model, List<FieldFault> faults)
    {
        Range("max_tokens", sampling.MaxTokens, 1, model.ContextLength, faults);
        Range("temperature", sampling.Temperature, 0, 2, faults);
        Range("top_k", sampling.TopK, 0, model.VocabularySize, faults);
        Range("repetition_penalty", sampling.RepetitionPenalty, 0.1f, 10, faults);
        if (!(sampling.TopP > 0 && sampling.TopP <= 1)) faults.Add(new("sampling.top_p", Invariant($"{sampling.TopP} is out of range."), "Send more than 0 and at most 1."));
        if (sampling.StopStrings.Count > 16) faults.Add(new("sampling.stop_strings", $"{sampling.StopStrings.Count} strings are more than 16.", "Send fewer."));
        if (sampling.StopStrings.Any(stop => stop.Length is 0 or > 256)) faults.Add(new("sampling.stop_strings", "A stop string is empty or longer than 256 characters.", "Send strings of 1 to 256 characters."));
        if (sampling.StopTokens.Count > 64) faults.Add(new("sampling.stop_tokens", $"{sampling.StopTokens.Count} tokens are more than 64.", "Send fewer."));
        foreach (var token in sampling.StopTokens.Where(token => token < 0 || token >= model.VocabularySize))
            faults.Add(new("sampling.stop_tokens", $"{token} is no token id.", $"Send 0 to {model.VocabularySize - 1}."));
    }

    public static void CheckCandidates(IReadOnlyList<string> candidates, LanguageModelDescription model, List<FieldFault> faults)
    {
        if (candidates.Count == 0 || candidates.Count > model.MaxCandidates) faults.Add(new("candidates", $"{candidates.Count} candidates.", $"Send 1 to {model.MaxCandidates}."));
        for (var index = 0; index < candidates.Count; index++)
        {
            if (candidates[index].Length == 0) faults.Add(new($"candidates[{index}]", "The candidate is empty.", "Send at least one character."));
            else if (model.PictureMarkers.Any(marker => candidates[index].Contains(marker, StringComparison.Ordinal)))
                faults.Add(new($"candidates[{index}]", "The candidate holds a picture marker.", "Send plain text."));
        }
    }

    /// <exception cref="StageException">InvalidArgument, if there are faults.</exception>
    public static void ThrowIfAny(List<FieldFault> faults)
    {
        if (faults.Count > 0) throw StageException.Invalid(faults);
    }

    // Invariant, because callers see these texts whatever the server's locale.
    private static void Range<T>(string name, T value, T least, T most, List<FieldFault> faults)
        where T : INumber<T>
    {
        if (!(value >= least && value <= most)) faults.Add(new($"sampling.{name}", Invariant($"{value} is out of range."), Invariant($"Send {least} to {most}.")));
    }
}
