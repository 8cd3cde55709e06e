using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Bench.Stacks;
using Flamingo.Stages;

namespace Flamingo.GpuCheck;

/// <summary>The trained model's evaluation in f32, from picture files to words, against the original code's answers.</summary>
internal static class AnswerCheck
{
    private const int AtOnce = 16;
    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    internal sealed record Shot(string Picture, string Text);

    internal sealed record Query(string Picture, string Prompt);

    internal sealed record Episode(string Task, IReadOnlyList<Shot> Shots, Query Query, string Answer);

    internal sealed record Expected(int Episode, int Shots, string Text, IReadOnlyList<int> Ids);

    private sealed record Golden(IReadOnlyList<Expected> Answers);

    /// <param name="every">One answer of so many is asked for.</param>
    public static async Task RunAsync(
        string where, Func<Task<EmbeddedStack>> load, string data, int every, Report report, CancellationToken cancellation)
    {
        var (answers, episodes) = Read(data);
        await using var stack = await load();
        var (wanted, different) = (answers.Where((_, index) => index % every == 0).ToList(), 0);
        var options = new ParallelOptions { MaxDegreeOfParallelism = AtOnce, CancellationToken = cancellation };
        await Parallel.ForEachAsync(wanted, options, async (expected, cancellation) =>
        {
            var segments = Segments(episodes[expected.Episode], expected.Shots, data);
            var answer = await AskAsync(stack, segments, new SamplingParameters { MaxTokens = 14 }, cancellation);
            if (answer.Text != expected.Text || !answer.Ids.SequenceEqual(expected.Ids)) Interlocked.Increment(ref different);
        });
        report.Add(new CheckLine(
            $"shapes_answers_that_differ, {where}", different, "answers",
            $"the original's {wanted.Count} answers, f32, word for word, {AtOnce} at once", 0));
    }

    public static (IReadOnlyList<Expected> Answers, IReadOnlyList<Episode> Episodes) Read(string data) => (
        JsonSerializer.Deserialize<Golden>(File.ReadAllBytes(Path.Combine(data, "evaluation", "golden.json")), Json)!.Answers,
        [.. File.ReadLines(Path.Combine(data, "evaluation", "episodes.jsonl"))
            .Select(line => JsonSerializer.Deserialize<Episode>(line, Json)!)]);

    public static IReadOnlyList<FlamingoSegment> Segments(Episode episode, int shots, string data)
    {
        FlamingoPicture Picture(string name) => new(File.ReadAllBytes(Path.Combine(data, "evaluation", "pictures", name)));
        return
        [
            .. episode.Shots.Take(shots).SelectMany(shot =>
                new FlamingoSegment[] { Picture(shot.Picture), new FlamingoText(shot.Text + "<|endofchunk|>") }),
            Picture(episode.Query.Picture), new FlamingoText(episode.Query.Prompt),
        ];
    }

    public static async Task<(string Text, List<int> Ids)> AskAsync(
        EmbeddedStack stack, IReadOnlyList<FlamingoSegment> segments, SamplingParameters sampling, CancellationToken cancellation)
    {
        var (text, ids) = ("", new List<int>());
        await foreach (var item in stack.Flamingo.GenerateAsync(new FlamingoRequest(segments, sampling), cancellation))
        {
            if (item is not AnswerTokens tokens) continue;
            text += tokens.Text;
            ids.AddRange(tokens.Ids);
        }

        return (text, ids);
    }
}
