using System.Security.Cryptography;
using Flamingo.Abstractions;
using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Engine;
using Flamingo.LanguageModel.Execution;
using Flamingo.Stages;

namespace Flamingo.Cli.Verifying;

/// <summary>Compares ids, logits, the greedy answer, beams and the ranking of candidates for one prompt after the other.</summary>
public sealed class PromptVerification(LanguageModelStage language, TokensConfig modelTokens, IReadOnlyList<TensorData> latents)
{
    private const int GreedyTokens = 12;

    public async Task RunAsync(GoldenPrompt prompt, GoldenTensors tensors, Action<Comparison> report, CancellationToken cancellation)
    {
        var segments = prompt.Segments.Select(Segment).ToArray();
        report(Comparison.OfIds($"{prompt.Name}: ids", prompt.Ids, await language.TokenizeAsync(segments, cancellation)));
        if (prompt.Sees is { } sees) report(Comparison.OfIds($"{prompt.Name}: sees", sees,
            [.. SeenPictures.Of(prompt.Ids, modelTokens).Select(picture => picture + 1)]));
        report(await CompareLogitsAsync(prompt, tensors, cancellation));
        if (prompt.Greedy is { } greedy)
            await TryAsync($"{prompt.Name}: greedy", report, () => CompareGreedyAsync(prompt.Name, segments, greedy, report, cancellation));
        if (prompt.Rank is { } rank)
            await TryAsync($"{prompt.Name}: rank", report, () => CompareRankAsync(prompt.Name, segments, rank, report, cancellation));
        foreach (var (name, beams) in prompt.Beams)
            await TryAsync(
                $"{prompt.Name}: {name}", report, () => CompareBeamsAsync($"{prompt.Name}: {name}", segments, beams, report, cancellation));
        foreach (var other in prompt.OtherMembers.Keys.Where(name => name is not ("pictures" or "text") && !prompt.Beams.ContainsKey(name)))
            report(new($"{prompt.Name}: {other}", Outcome.Skipped, "this build does not know it"));
    }

    // If the stage rejects a request, the comparison counts as broken and the report continues.
    private static async Task TryAsync(string name, Action<Comparison> report, Func<Task> compare)
    {
        try
        {
            await compare();
        }
        catch (FlamingoException exception) when (exception.Kind is not FlamingoErrorKind.Cancelled)
        {
            report(new(name, Outcome.Broken, $"the model refuses: {exception.Message}"));
        }
    }

    private PromptSegment Segment(GoldenSegment segment) => segment switch
    {
        { Picture: { } index } =>
            new PictureSegment(Convert.ToHexStringLower(SHA256.HashData(latents[index].Bytes.Span)), ChecksummedLatents.Of(latents[index])),
        _ => new TextSegment(segment.Text!),
    };

    // The network gets the golden ids, so that errors of the tokenizer and of the network are separate.
    private async Task<Comparison> CompareLogitsAsync(GoldenPrompt prompt, GoldenTensors tensors, CancellationToken cancellation)
    {
        var name = $"logits.{prompt.Name}";
        var pictures = prompt.Segments.Where(segment => segment.Picture is not null).Select(segment => segment.Picture!.Value).ToArray();
        if (prompt.Ids.Count == 0 || prompt.Ids.Any(id => id < 0 || id >= language.Description.VocabularySize))
            return new(name, Outcome.Broken, $"the golden ids do not fit a vocabulary of {language.Description.VocabularySize}");
        if (prompt.Ids.Count(id => id == modelTokens.Image.Id) != pictures.Length) return new(name, Outcome.Broken,
            "the golden ids do not hold one image token for each picture");
        var logits = await language.Runner.LogitsAsync(
            new SequencePrompt(prompt.Ids, SeenPictures.Of(prompt.Ids, modelTokens), [.. pictures.Select(index => $"{index}")],
            pictures.Distinct().ToDictionary(index => $"{index}", index => latents[index]), prompt.Ids.Count), cancellation);
        return tensors.Compare(name, logits);
    }

    private async Task CompareGreedyAsync(
        string name, PromptSegment[] segments, GoldenAnswer golden, Action<Comparison> report, CancellationToken cancellation)
    {
        var ids = new List<int>();
        var sampling = new SamplingParameters { MaxTokens = Math.Max(GreedyTokens, golden.Ids.Count) };
        await foreach (var part in language.GenerateAsync(new LanguageModelRequest(segments, sampling), cancellation))
            if (part is AnswerTokens tokens) ids.AddRange(tokens.Ids);
        report(Comparison.OfIds($"{name}: greedy", golden.Ids, ids));
    }

    private async Task CompareBeamsAsync(
        string name, PromptSegment[] segments, GoldenBeams golden, Action<Comparison> report, CancellationToken cancellation)
    {
        var (ids, score) = (new List<int>(), (double?)null);
        var sampling = new SamplingParameters
        {
            MaxTokens = Math.Max(GreedyTokens, golden.Best.Ids.Count), Beams = golden.Count, LengthPenalty = golden.LengthPenalty,
        };
        await foreach (var part in language.GenerateAsync(new LanguageModelRequest(segments, sampling), cancellation))
        {
            if (part is AnswerTokens { Sample: 0 } tokens) ids.AddRange(tokens.Ids);
            if (part is AnswerFinished end) score = end.Samples.Select(sample => sample.Score).FirstOrDefault();
        }

        var same = Comparison.OfIds(name, golden.Best.Ids, ids);
        if (same.Outcome != Outcome.Held) report(same);
        else if (score is not { } found) report(new(name, Outcome.Broken, "the model returned no score"));
        else report(
            Comparison.Within(
                name, Math.Abs(found - golden.Best.Score), Comparison.RankTolerance,
                $"{ids.Count} ids identical, difference of the score"));
    }

    private async Task CompareRankAsync(
        string name, PromptSegment[] segments, IReadOnlyList<GoldenCandidate> golden, Action<Comparison> report,
        CancellationToken cancellation)
    {
        var ranking = await language.RankAsync(new RankRequest(segments, [.. golden.Select(candidate => candidate.Text)]), cancellation);
        foreach (var (expected, actual) in golden.Zip(ranking.Candidates))
        {
            var title = $"{name}: rank '{expected.Text}'";
            var ids = Comparison.OfIds(title, expected.Ids, actual.Ids);
            if (ids.Outcome != Outcome.Held) report(ids);
            else if (expected.TokenLogLikelihoods.Count != actual.TokenLogLikelihoods.Count)
                report(new(
                    title, Outcome.Broken,
                    $"{actual.TokenLogLikelihoods.Count} log-likelihoods where the golden has {expected.TokenLogLikelihoods.Count}"));
            else report(
                Comparison.Within(
                    title, expected.TokenLogLikelihoods.Zip(actual.TokenLogLikelihoods, (left, right) => Math.Abs(left - right)).Max(),
                    Comparison.RankTolerance, "largest difference"));
        }

        static int[] Order(IEnumerable<double> scores) =>
            [.. scores.Index().OrderByDescending(item => item.Item).Select(item => item.Index)];
        report(
            Comparison.OfIds(
                $"{name}: rank order", Order(golden.Select(candidate => candidate.TokenLogLikelihoods.Sum())),
                Order(ranking.Candidates.Select(candidate => candidate.Sum))));
    }
}
