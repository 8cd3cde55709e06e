using System.Numerics;
using static System.FormattableString;

namespace Flamingo.Abstractions;

/// <summary>
/// Validation rules for prompts and sampling parameters. The gateway checks them, and the language model checks them again. Each
/// check reports all faults, not only the first. A list with too many elements is one fault, and its elements are not looked at, so that
/// no request costs more than its limits allow.
/// </summary>
public static class PromptRules
{
    public const int MostSegments = 1024;
    // The limit counts the characters of all texts of a request. A message may hold a gigabyte, and the text must be tokenized
    // before its tokens can be counted.
    public const int MostCharacters = 1 << 22;
    public const int MostBiases = 1024;
    public const int MostStopStrings = 16;
    public const int MostStopTokens = 64;
    public const int MostFiles = 1024; // of one clip
    public const int MostLogProbabilities = 20;

    public static void CheckTexts(IEnumerable<(int Index, string Text)> texts, LanguageModelDescription model, FaultList faults)
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

    /// <returns>Whether the segments may be looked at.</returns>
    public static bool CheckSegmentCount(int count, FaultList faults)
    {
        if (count == 0) faults.Add(new("segments", "The prompt is empty.", "Send at least one text or picture."));
        return CheckMost("segments", "segments", count, MostSegments, faults, "Join adjacent texts or send fewer examples.");
    }

    /// <param name="kind">What the list holds, as a plural.</param>
    /// <returns>Whether the list is short enough for its elements to be looked at.</returns>
    public static bool CheckMost(string field, string kind, int count, int most, FaultList faults, string remedy = "Send fewer.")
    {
        if (count <= most) return true;
        faults.Add(new(field, $"{count} {kind} are more than {most}.", remedy));
        return false;
    }

    public static void CheckSampling(SamplingParameters sampling, LanguageModelDescription model, FaultList faults)
    {
        Range("max_tokens", sampling.MaxTokens, 1, model.ContextLength, faults);
        Range("temperature", sampling.Temperature, 0, 2, faults);
        Range("top_k", sampling.TopK, 0, model.VocabularySize, faults);
        Range("repetition_penalty", sampling.RepetitionPenalty, 0.1f, 10, faults);
        Range("frequency_penalty", sampling.FrequencyPenalty, -2, 2, faults);
        Range("presence_penalty", sampling.PresencePenalty, -2, 2, faults);
        Range("min_p", sampling.MinP, 0, 1, faults);
        Range("no_repeat_ngram_size", sampling.NoRepeatNgramSize, 0, model.ContextLength, faults);
        Range("min_tokens", sampling.MinTokens, 0, model.ContextLength, faults);
        if (sampling.MinTokens > sampling.MaxTokens && sampling.MaxTokens > 0 && sampling.MinTokens <= model.ContextLength)
            faults.Add(new("sampling.min_tokens", $"{sampling.MinTokens} is more than max_tokens, {sampling.MaxTokens}.",
                "Lower min_tokens or raise max_tokens."));
        if (!(sampling.TopP > 0 && sampling.TopP <= 1))
            faults.Add(new("sampling.top_p", Invariant($"{sampling.TopP} is out of range."), "Send more than 0 and at most 1."));
        if (CheckMost("sampling.stop_strings", "strings", sampling.StopStrings.Count, MostStopStrings, faults)
            && sampling.StopStrings.Any(stop => stop.Length is 0 or > 256))
            faults.Add(new(
                "sampling.stop_strings", "A stop string is empty or longer than 256 characters.", "Send strings of 1 to 256 characters."));
        if (CheckMost("sampling.stop_tokens", "tokens", sampling.StopTokens.Count, MostStopTokens, faults))
        {
            foreach (var token in sampling.StopTokens.Where(token => token < 0 || token >= model.VocabularySize))
                faults.Add(new("sampling.stop_tokens", $"{token} is no token id.", $"Send 0 to {model.VocabularySize - 1}."));
        }

        if (CheckMost("sampling.logit_bias", "ids", sampling.LogitBias.Count, MostBiases, faults))
        {
            Indices("sampling.logit_bias", "token id", sampling.LogitBias.Keys, model.VocabularySize, faults);
            if (sampling.LogitBias.Values.Any(bias => !(bias is >= -100 and <= 100)))
                faults.Add(new("sampling.logit_bias", "A bias is out of range.", "Send -100 to 100."));
        }

        DistinctIndices("sampling.allowed_tokens", "token id", sampling.AllowedTokens, model.VocabularySize, faults);
        if (sampling.LogProbabilities is { } most)
            Range("log_probabilities", most, 0, Math.Min(MostLogProbabilities, model.VocabularySize), faults);
        CheckSeveral(sampling, model, faults);
    }

    /// <summary>Checks the choice of attention layers and heads; a beam search supports no attention.</summary>
    public static void CheckAttention(
        AttentionChoice? attention, SamplingParameters sampling, LanguageModelDescription model, FaultList faults)
    {
        if (attention is null) return;
        if (sampling.Beams > 1)
            faults.Add(new("attention", "A beam search returns no attention.", "Send no attention, or send beams 1."));
        DistinctIndices("attention.layers", "gated block", attention.Layers, model.CrossAttentionLayers, faults);
        DistinctIndices("attention.heads", "head", attention.Heads, model.CrossAttentionHeads, faults);
    }

    public static void CheckPin(TimeSpan? pin, LanguageModelDescription model, FaultList faults)
    {
        if (pin is not { } time || (time > TimeSpan.Zero && time <= model.MaxPin)) return;
        var remedy = model.MaxPin > TimeSpan.Zero
            ? Invariant($"Send more than 0 and at most {model.MaxPin.TotalSeconds} s.")
            : "Leave it out: this server does not pin prefixes.";
        faults.Add(new("pin_prefix", Invariant($"{time.TotalSeconds} s is out of range."), remedy));
    }

    public static void CheckCandidates(IReadOnlyList<string> candidates, LanguageModelDescription model, FaultList faults)
    {
        if (candidates.Count == 0 || candidates.Count > model.MaxCandidates)
        {
            faults.Add(new("candidates", $"The request has {candidates.Count} candidates.", $"Send 1 to {model.MaxCandidates}."));
            return;
        }

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
    public static void ThrowIfAny(FaultList faults)
    {
        if (faults.Count > 0) throw FlamingoException.Invalid(faults, faults.Further);
    }

    // Checks several answers or beams. A stage that does not report its largest number supports one.
    private static void CheckSeveral(SamplingParameters sampling, LanguageModelDescription model, FaultList faults)
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

    // Indices of which each may be named once, so that there are at most as many as there are things to name.
    private static void DistinctIndices(string field, string kind, IReadOnlyList<int> indices, int count, FaultList faults)
    {
        if (indices.Count > count)
        {
            faults.Add(new(field, $"{indices.Count} indices are more than the {count} {kind}s of this model.",
                count > 0 ? "Send each at most once." : "Leave it out."));
            return;
        }

        Indices(field, kind, indices, count, faults);
        var seen = new HashSet<int>(indices.Count);
        if (indices.Any(index => !seen.Add(index))) faults.Add(new(field, $"A {kind} is named twice.", "Send each once."));
    }

    // All wrong values of a list give one fault that names only the first few.
    private static void Indices(string field, string kind, IEnumerable<int> indices, int count, FaultList faults)
    {
        var wrong = indices.Where(index => index < 0 || index >= count).ToList();
        if (wrong.Count == 0) return;
        var named = string.Join(", ", wrong.Take(8)) + (wrong.Count > 8 ? ", …" : "");
        var problem = wrong.Count == 1 ? $"{named} is no {kind}." : $"{named} are no {kind}s.";
        faults.Add(new(field, problem, count > 0 ? $"Send 0 to {count - 1}." : $"Leave it out: this model has no {kind}."));
    }

    // The texts are formatted with the invariant culture, so that callers see the same text for every locale of the server.
    private static void Range<T>(string name, T value, T least, T most, FaultList faults)
        where T : INumber<T>, IMinMaxValue<T>
    {
        if (value >= least && value <= most) return;
        var remedy = most == T.MaxValue ? Invariant($"Send {least} or more.") : Invariant($"Send {least} to {most}.");
        faults.Add(new($"sampling.{name}", Invariant($"{value} is out of range."), remedy));
    }
}
