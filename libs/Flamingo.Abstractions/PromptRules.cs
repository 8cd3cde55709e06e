using System.Numerics;
using static System.FormattableString;

namespace Flamingo.Abstractions;

/// <summary>
/// Validation rules for prompts and sampling parameters. The gateway checks them, and the language model checks them again. Each
/// check reports all faults, not only the first.
/// </summary>
public static class PromptRules
{
    public const int MostSegments = 1024;
    // The limit counts the characters of all texts of a request. A message may hold a gigabyte, and the text must be tokenized
    // before its tokens can be counted.
    public const int MostCharacters = 1 << 22;
    public const int MostBiases = 1024;
    public const int MostLogProbabilities = 20;

    public static void CheckTexts(IEnumerable<(int Index, string Text)> texts, LanguageModelDescription model, List<FieldFault> faults)
    {
        var characters = 0L;
        foreach (var (index, text) in texts)
        {
            characters += text.Length;
            foreach (var marker in model.PictureMarkers.Where(marker => text.Contains(marker, StringComparison.Ordinal)))
                faults.Add(new(
                    $"segments[{index}].text", $"The text holds the picture marker '{marker}'.",
                    "Send the picture as a segment of its own; the service places the marker."));
        }

        if (characters > MostCharacters)
            faults.Add(new(
                "segments", $"{characters} characters of text are more than {MostCharacters}.", "Send shorter texts or fewer examples."));
    }

    public static void CheckSegmentCount(int count, List<FieldFault> faults)
    {
        if (count == 0) faults.Add(new("segments", "The prompt is empty.", "Send at least one text or picture."));
        if (count > MostSegments)
            faults.Add(new(
                "segments", $"{count} segments are more than {MostSegments}.", "Join adjacent texts or send fewer examples."));
    }

    public static void CheckSampling(SamplingParameters sampling, LanguageModelDescription model, List<FieldFault> faults)
    {
        Range("max_tokens", sampling.MaxTokens, 1, model.ContextLength, faults);
        Range("temperature", sampling.Temperature, 0, 2, faults);
        Range("top_k", sampling.TopK, 0, model.VocabularySize, faults);
        Range("repetition_penalty", sampling.RepetitionPenalty, 0.1f, 10, faults);
        if (!(sampling.TopP > 0 && sampling.TopP <= 1))
            faults.Add(new("sampling.top_p", Invariant($"{sampling.TopP} is out of range."), "Send more than 0 and at most 1."));
        if (sampling.StopStrings.Count > 16)
            faults.Add(new("sampling.stop_strings", $"{sampling.StopStrings.Count} strings are more than 16.", "Send fewer."));
        if (sampling.StopStrings.Any(stop => stop.Length is 0 or > 256))
            faults.Add(new(
                "sampling.stop_strings", "A stop string is empty or longer than 256 characters.", "Send strings of 1 to 256 characters."));
        if (sampling.StopTokens.Count > 64)
            faults.Add(new("sampling.stop_tokens", $"{sampling.StopTokens.Count} tokens are more than 64.", "Send fewer."));
        foreach (var token in sampling.StopTokens.Where(token => token < 0 || token >= model.VocabularySize))
            faults.Add(new("sampling.stop_tokens", $"{token} is no token id.", $"Send 0 to {model.VocabularySize - 1}."));
        if (sampling.LogitBias.Count > MostBiases)
            faults.Add(new("sampling.logit_bias", $"{sampling.LogitBias.Count} ids are more than {MostBiases}.", "Send fewer."));
        Indices("sampling.logit_bias", "token id", sampling.LogitBias.Keys, model.VocabularySize, faults);
        if (sampling.LogitBias.Values.Any(bias => !(bias is >= -100 and <= 100)))
            faults.Add(new("sampling.logit_bias", "A bias is out of range.", "Send -100 to 100."));
        Indices("sampling.allowed_tokens", "token id", sampling.AllowedTokens, model.VocabularySize, faults);
        if (sampling.LogProbabilities is { } most)
            Range("log_probabilities", most, 0, Math.Min(MostLogProbabilities, model.VocabularySize), faults);
        CheckSeveral(sampling, model, faults);
    }

    /// <summary>Checks the choice of attention layers and heads; a beam search supports no attention.</summary>
    public static void CheckAttention(
        AttentionChoice? attention, SamplingParameters sampling, LanguageModelDescription model, List<FieldFault> faults)
    {
        if (attention is null) return;
        if (sampling.Beams > 1)
            faults.Add(new("attention", "A beam search returns no attention.", "Send no attention, or send beams 1."));
        Indices("attention.layers", "gated block", attention.Layers, model.CrossAttentionLayers, faults);
        Indices("attention.heads", "head", attention.Heads, model.CrossAttentionHeads, faults);
        if (attention.Layers.Distinct().Count() < attention.Layers.Count)
            faults.Add(new("attention.layers", "A gated block is named twice.", "Send each index once."));
        if (attention.Heads.Distinct().Count() < attention.Heads.Count)
            faults.Add(new("attention.heads", "A head is named twice.", "Send each index once."));
    }

    public static void CheckPin(TimeSpan? pin, LanguageModelDescription model, List<FieldFault> faults)
    {
        if (pin is not { } time || (time > TimeSpan.Zero && time <= model.MaxPin)) return;
        var remedy = model.MaxPin > TimeSpan.Zero
            ? Invariant($"Send more than 0 and at most {model.MaxPin.TotalSeconds} s.")
            : "Leave it out: this server does not pin prefixes.";
        faults.Add(new("pin_prefix", Invariant($"{time.TotalSeconds} s is out of range."), remedy));
    }

    public static void CheckCandidates(IReadOnlyList<string> candidates, LanguageModelDescription model, List<FieldFault> faults)
    {
        if (candidates.Count == 0 || candidates.Count > model.MaxCandidates)
            faults.Add(new("candidates", $"The request has {candidates.Count} candidates.", $"Send 1 to {model.MaxCandidates}."));
        var characters = candidates.Sum(candidate => (long)candidate.Length);
        if (characters > MostCharacters)
            faults.Add(new("candidates", $"{characters} characters are more than {MostCharacters}.", "Send shorter ones or fewer."));
        for (var index = 0; index < candidates.Count; index++)
        {
            if (candidates[index].Length == 0)
                faults.Add(new($"candidates[{index}]", "The candidate is empty.", "Send at least one character."));
            else if (model.PictureMarkers.Any(marker => candidates[index].Contains(marker, StringComparison.Ordinal)))
                faults.Add(new($"candidates[{index}]", "The candidate holds a picture marker.", "Send plain text."));
        }
    }

    /// <exception cref="FlamingoException">InvalidArgument, if there are faults.</exception>
    public static void ThrowIfAny(List<FieldFault> faults)
    {
        if (faults.Count > 0) throw FlamingoException.Invalid(faults);
    }

    // Checks several answers or beams. A stage that does not report its largest number supports one.
    private static void CheckSeveral(SamplingParameters sampling, LanguageModelDescription model, List<FieldFault> faults)
    {
        var most = Math.Max(1, model.MaxSamples);
        Range("samples", sampling.Samples, 1, most, faults);
        Range("beams", sampling.Beams, 1, most, faults);
        Range("length_penalty", sampling.LengthPenalty, -5, 5, faults);
        if (sampling.Beams <= 1) return;
        if (sampling.Samples > sampling.Beams)
            faults.Add(new("sampling.samples", $"{sampling.Samples} answers are more than {sampling.Beams} beams.",
                "Send at most as many samples as beams."));
        if (sampling.Temperature > 0)
            faults.Add(new("sampling.temperature", "A beam search is greedy.", "Send temperature 0, or beams 1."));
        if (sampling.StopStrings.Count > 0)
            faults.Add(new("sampling.stop_strings", "A beam search ends only at stop tokens.", "Send stop_tokens, or beams 1."));
        if (sampling.LogProbabilities is not null)
            faults.Add(new(
                "sampling.log_probabilities", "A beam search returns only its score, no log-probabilities.",
                "Leave log_probabilities out, or send beams 1."));
    }

    // A list may be as long as a message allows, so all its wrong values give one fault that names only the first few.
    private static void Indices(string field, string kind, IEnumerable<int> indices, int count, List<FieldFault> faults)
    {
        var wrong = indices.Where(index => index < 0 || index >= count).ToList();
        if (wrong.Count == 0) return;
        var named = string.Join(", ", wrong.Take(8)) + (wrong.Count > 8 ? ", …" : "");
        var problem = wrong.Count == 1 ? $"{named} is no {kind}." : $"{named} are no {kind}s.";
        faults.Add(new(field, problem, count > 0 ? $"Send 0 to {count - 1}." : $"Leave it out: this model has no {kind}."));
    }

    // The texts are formatted with the invariant culture, so that callers see the same text for every locale of the server.
    private static void Range<T>(string name, T value, T least, T most, List<FieldFault> faults)
        where T : INumber<T>, IMinMaxValue<T>
    {
        if (value >= least && value <= most) return;
        var remedy = most == T.MaxValue ? Invariant($"Send {least} or more.") : Invariant($"Send {least} to {most}.");
        faults.Add(new($"sampling.{name}", Invariant($"{value} is out of range."), remedy));
    }
}
