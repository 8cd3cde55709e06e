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
    /// <returns>Null if a logit of the model is not finite.</returns>
    public static PlainAnswer? Sample(SequencePrompt prompt, SamplingParameters sampling, int sample)
    {
        var (ids, text) = (prompt.Ids.ToList(), "");
        PlainAnswer Answer(FinishReason reason) => new(ids[prompt.Ids.Count..], text, reason, null);
        while (true)
        {
            var logits = Logits(prompt, ids);
            if (!float.IsFinite(logits[0])) return null;
            var token = new TokenSampler(sampling).Next(logits, ids.ToHashSet(), ids.Count, sample);
            ids.Add(token);
            if (token == ScriptedModel.Stop || sampling.StopTokens.Contains(token)) return Answer(FinishReason.Stop);
            text += ScriptedText.Letter(token);
            var cut = sampling.StopStrings.Select(stop => text.IndexOf(stop, StringComparison.Ordinal))
                .Where(at => at >= 0)
                .DefaultIfEmpty(-1)
                .Min();
            if (cut >= 0) text = text[..cut];
            if (cut >= 0) return Answer(FinishReason.Stop);
            if (ids.Count >= prompt.Capacity) return Answer(FinishReason.Length);
        }
    }

    /// <inheritdoc cref="Sample"/>
    public static List<PlainAnswer>? Beams(SequencePrompt prompt, SamplingParameters sampling)
    {
        var finite = true;
        float[] Scores(IReadOnlyList<int> ids)
        {
            var logits = Logits(prompt, [.. prompt.Ids, .. ids]);
            finite &= float.IsFinite(logits[0]);
            if (!finite) return new float[ScriptedModel.Vocabulary];
            var scores = LogProbabilities.LogSoftmax(logits);
            new TokenSampler(sampling).Adjust(scores, prompt.Ids.Concat(ids).ToHashSet());
            return scores;
        }

        var found = TransformersBeamSearch.Search(
            Scores, () => finite, sampling.Beams, sampling.LengthPenalty, [ScriptedModel.Stop, .. sampling.StopTokens], prompt.Ids.Count,
            prompt.Capacity);
        return finite
            ? [
                .. found.Take(sampling.Samples)
                    .Select(
                        beam =>
                            new PlainAnswer(
                                beam.Ids, string.Concat(beam.Ids.SkipLast(beam.Stopped ? 1 : 0).Select(ScriptedText.Letter)),
                                beam.Stopped ? FinishReason.Stop : FinishReason.Length, beam.Score))
            ]
            : null;
    }

    /// <inheritdoc cref="Sample"/>
    public static IReadOnlyList<IReadOnlyList<float>>? Rank(SequencePrompt prompt, IReadOnlyList<IReadOnlyList<int>> candidates)
    {
        var scores = candidates.Select(
            ids => Enumerable.Range(0, ids.Count).Select(at => Score(prompt, [.. prompt.Ids, .. ids.Take(at)], ids[at])).ToArray())
            .ToArray();
        return scores.All(row => row.All(float.IsFinite)) ? scores : null;
    }

    /// <summary>The state after the prompt and the answer's tokens, which attend to the picture of the prompt's last token.</summary>
    public static float[] Logits(SequencePrompt prompt, IReadOnlyList<int> ids) =>
        ScriptedModel.Logits(Past(prompt, ids, prompt.PictureAt), ids[^1]);

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
