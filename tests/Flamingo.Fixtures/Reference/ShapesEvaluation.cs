using System.Text.Json;
using Flamingo.Abstractions;

namespace Flamingo.Fixtures.Reference;

public sealed record EpisodeShot(string Picture, string Text);

public sealed record EpisodeQuery(string Picture, string Prompt);

/// <summary>A line of episodes.jsonl: examples, a question, and the right answer.</summary>
public sealed record EvaluationEpisode(string Task, IReadOnlyList<EpisodeShot> Shots, EpisodeQuery Query, string Answer);

/// <summary>The original code's answer to an episode with some of its shots.</summary>
/// <param name="PromptIds">The token ids of the prompt, for every twentieth answer; null for the other answers.</param>
public sealed record EpisodeAnswer(int Episode, int Shots, string Text, IReadOnlyList<int> Ids, IReadOnlyList<int>? PromptIds);

/// <param name="N">Number of answers.</param>
public sealed record EpisodeAccuracy(double Accuracy, int N);

/// <summary>The content of golden.json, the original code's answers.</summary>
/// <param name="Table">Accuracy by task and shots, for example "caption at 4 shots".</param>
/// <param name="Retrieval">Accuracy by selection and shots, for example "rices 4".</param>
/// <param name="RicesOrder">Per query of retrieval.json the indices of the nearest 8 examples, the most similar first.</param>
public sealed record EvaluationGolden(
    IReadOnlyDictionary<string, EpisodeAccuracy> Table, IReadOnlyDictionary<string, double> Retrieval,
    IReadOnlyList<IReadOnlyList<int>> RicesOrder, IReadOnlyList<EpisodeAnswer> Answers);

/// <summary>The evaluation of models/shapes: episodes.jsonl, golden.json and pictures of a folder.</summary>
/// <param name="folder">tests/reference/shapes/evaluation, or a copy of it.</param>
public sealed class ShapesEvaluation(string folder)
{
    /// <summary>The naming policy of the reference's JSON members.</summary>
    public static JsonSerializerOptions Json { get; } = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    private readonly Lazy<IReadOnlyList<EvaluationEpisode>> _episodes = new(() =>
    [
        .. File.ReadLines(System.IO.Path.Combine(folder, "episodes.jsonl"))
            .Select(line => JsonSerializer.Deserialize<EvaluationEpisode>(line, Json)!),
    ]);

    private readonly Lazy<EvaluationGolden> _golden = new(() =>
        JsonSerializer.Deserialize<EvaluationGolden>(File.ReadAllBytes(System.IO.Path.Combine(folder, "golden.json")), Json)!);

    public IReadOnlyList<EvaluationEpisode> Episodes => _episodes.Value;

    public EvaluationGolden Golden => _golden.Value;

    public string Path(params string[] parts) => System.IO.Path.Combine([folder, .. parts]);

    public FlamingoPicture Picture(string name) => new(File.ReadAllBytes(Path("pictures", name)));

    /// <summary>The segments of a request with the first examples of an episode and its question.</summary>
    public IReadOnlyList<FlamingoSegment> Segments(EvaluationEpisode episode, int shots) =>
    [
        .. episode.Shots.Take(shots).SelectMany(shot =>
            new FlamingoSegment[] { Picture(shot.Picture), new FlamingoText(shot.Text + "<|endofchunk|>") }),
        Picture(episode.Query.Picture), new FlamingoText(episode.Query.Prompt),
    ];

    /// <summary>The prompt of a golden answer.</summary>
    public IReadOnlyList<FlamingoSegment> Segments(EpisodeAnswer answer) => Segments(Episodes[answer.Episode], answer.Shots);
}
