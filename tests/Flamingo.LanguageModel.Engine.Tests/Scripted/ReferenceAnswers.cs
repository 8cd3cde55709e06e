using Flamingo.Abstractions;
using Flamingo.LanguageModel.Engine.Sampling;
using Flamingo.LanguageModel.Engine.Tests.Sampling;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.Tests.Scripted;

/// <summary>An expected answer. The ids include the stop token; the text does not.</summary>
internal sealed record PlainAnswer(IReadOnlyList<int> Ids, string Text, FinishReason Reason, double? Score);

/// <summary>
/// Computes the expected answer of a single request without blocks, batch or cache: every token is computed from the first on.
/// </summary>
internal static class ReferenceAnswers
{
    /// <exception cref="FlamingoException">
    /// Internal if a logit of the model is not finite, or InvalidArgument if the parameters leave no token.
    /// </exception>
    public static PlainAnswer Sample(SequencePrompt prompt, SamplingParameters sampling, int sample)
    {
        var (ids, text) = (prompt.Ids.ToList(), "");
        var unstoppable = 0; // length of the text of the tokens that may not end the answer
        PlainAnswer Answer(FinishReason reason) => new(ids[prompt.Ids.Count..], text, reason, null);
        while (true)
        {
            var logits = Logits(prompt, ids);
            if (!float.IsFinite(logits[0])) throw NotFinite();
            var token = PlainSampling.Next(logits, prompt.Ids, ids[prompt.Ids.Count..], sampling, [ScriptedModel.Stop], sample)
                ?? throw NoTokenLeft();
            ids.Add(token);
            if (token == ScriptedModel.Stop || sampling.StopTokens.Contains(token)) return Answer(FinishReason.Stop);
            text += ScriptedText.Letter(token);
            if (ids.Count - prompt.Ids.Count <= sampling.MinTokens) unstoppable = text.Length;
            var cut = sampling.StopStrings
                .SelectMany(stop => Enumerable.Range(0, text.Length)
                    .Where(at => text[at..].StartsWith(stop, StringComparison.Ordinal) && at + stop.Length > unstoppable))
                .DefaultIfEmpty(-1)
                .Min();
            if (cut >= 0) text = text[..cut];
            if (cut >= 0) return Answer(FinishReason.Stop);
            if (ids.Count >= prompt.Capacity) return Answer(FinishReason.Length);
        }
    }

    /// <inheritdoc cref="Sample"/>
    public static List<PlainAnswer> Beams(SequencePrompt prompt, SamplingParameters sampling)
    {
        var finite = true;
        float[] Scores(IReadOnlyList<int> ids)
        {
            var logits = Logits(prompt, [.. prompt.Ids, .. ids]);
            finite &= float.IsFinite(logits[0]);
            if (!finite) return new float[ScriptedModel.Vocabulary];
            return PlainSampling.Adjusted(LogProbabilities.LogSoftmax(logits), prompt.Ids, ids, sampling, [ScriptedModel.Stop]);
        }

        var found = TransformersBeamSearch.Search(
            Scores, () => finite, sampling.Beams, sampling.LengthPenalty, [ScriptedModel.Stop, .. sampling.StopTokens], prompt.Ids.Count,
            prompt.Capacity);
        if (!finite) throw NotFinite();
        if (found.Count == 0) throw NoTokenLeft();
        return [.. found.Take(sampling.Samples).Select(beam => new PlainAnswer(
            beam.Ids, string.Concat(beam.Ids.SkipLast(beam.Stopped ? 1 : 0).Select(ScriptedText.Letter)),
            beam.Stopped ? FinishReason.Stop : FinishReason.Length, beam.Score))];
    }

    /// <inheritdoc cref="Sample"/>
    public static IReadOnlyList<IReadOnlyList<float>> Rank(SequencePrompt prompt, IReadOnlyList<IReadOnlyList<int>> candidates)
    {
        var scores = candidates.Select(
            ids => Enumerable.Range(0, ids.Count).Select(at => Score(prompt, [.. prompt.Ids, .. ids.Take(at)], ids[at])).ToArray())
            .ToArray();
        return scores.All(row => row.All(float.IsFinite)) ? scores : throw NotFinite();
    }

    /// <summary>The state after the prompt and the answer's tokens, which attend to the picture of the prompt's last token.</summary>
    public static float[] Logits(SequencePrompt prompt, IReadOnlyList<int> ids) =>
        ScriptedModel.Logits(Past(prompt, ids, prompt.PictureAt), ids[^1]);

    private static FlamingoException NotFinite() => new(FlamingoErrorKind.Internal, "A logit is not finite.");

    private static FlamingoException NoTokenLeft() => new(FlamingoErrorKind.InvalidArgument, "No token may follow.");

    // a candidate is text, and attends to the picture that it would attend to as a part of the prompt
    private static float Score(SequencePrompt prompt, IReadOnlyList<int> ids, int target)
    {
        var seen = Prompts.Seen(ids);
        return ScriptedModel.Score(Past(prompt, ids, position => seen[position]), ids[^1], target);
    }

    private static ulong Past(SequencePrompt prompt, IReadOnlyList<int> ids, Func<int, int> pictureAt)
    {
        var past = 0UL;
        for (var position = 0; position < ids.Count; position++)
        {
            var picture = pictureAt(position) is >= 0 and var index ? ScriptedModel.Project(ScriptedModel.Latents(prompt.Keys[index]))
                : ScriptedModel.NoPicture;
            past = ScriptedModel.Read(past, ScriptedModel.Cell(past, ids[position], picture, position));
        }

        return past;
    }
}
