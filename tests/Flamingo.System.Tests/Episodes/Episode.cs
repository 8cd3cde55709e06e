using System.Text.Json;
using System.Text.Json.Serialization;
using Flamingo.Abstractions;
using Flamingo.Testing;

namespace Flamingo.SystemTests.Episodes;

internal sealed record Shot(string Picture, string Text);

internal sealed record Query(string Picture, string Prompt);

/// <summary>A line of tests/reference/shapes/evaluation/episodes.jsonl.</summary>
internal sealed record Episode(string Task, IReadOnlyList<Shot> Shots, Query Query, string Answer)
{
    public static IReadOnlyList<Episode> All { get; } =
        [.. File.ReadLines(Evaluation("episodes.jsonl")).Select(line => JsonSerializer.Deserialize<Episode>(line, EvaluationGolden.Json)!)];

    public static string Evaluation(params string[] parts) => RepositoryFiles.Path(["tests", "reference", "shapes", "evaluation", .. parts]);

    /// <summary>The first <paramref name="shots"/> examples and the question, as a caller would send them.</summary>
    public IReadOnlyList<FlamingoSegment> Segments(int shots)
    {
        var segments = new List<FlamingoSegment>();
        foreach (var shot in Shots.Take(shots))
        {
            segments.Add(Picture(shot.Picture));
            segments.Add(new FlamingoText(shot.Text + "<|endofchunk|>"));
        }

        return [.. segments, Picture(Query.Picture), new FlamingoText(Query.Prompt)];
    }

    public static FlamingoPicture Picture(string name) => new(File.ReadAllBytes(Evaluation("pictures", name)));
}

/// <param name="PromptIds">For every twentieth answer; null for the others.</param>
internal sealed record GoldenAnswer(int Episode, int Shots, string Text, IReadOnlyList<int> Ids, IReadOnlyList<int>? PromptIds);

internal sealed record GoldenAccuracy(double Accuracy, int N);

/// <summary>golden.json: what the original code answered.</summary>
/// <param name="Retrieval">Accuracy by selection and shots, for example "rices 4".</param>
/// <param name="RicesOrder">Per query of retrieval.json the places of the nearest 8 examples, the most similar first.</param>
internal sealed record EvaluationGolden(
    IReadOnlyDictionary<string, GoldenAccuracy> Table, IReadOnlyDictionary<string, double> Retrieval, IReadOnlyList<IReadOnlyList<int>> RicesOrder, IReadOnlyList<GoldenAnswer> Answers)
{
    public static JsonSerializerOptions Json { get; } = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, UnmappedMemberHandling = JsonUnmappedMemberHandling.Skip };

    public static EvaluationGolden Read() => JsonSerializer.Deserialize<EvaluationGolden>(File.ReadAllText(Episode.Evaluation("golden.json")), Json)!;
}
