namespace Flamingo.Evaluation.Reports;

/// <summary>What others published for a model on a benchmark.</summary>
/// <param name="Model">The model's published name.</param>
/// <param name="Benchmark">As <see cref="Datasets.Benchmark.Name"/>.</param>
/// <param name="Selection">
/// How shots were chosen, as <see cref="Runs.Condition.Selection"/>; null where the source was read without that.
/// </param>
/// <param name="Source">Where the scores were published.</param>
/// <param name="Scores">By number of shots, in the benchmark's metric and unit: CIDEr × 100, the others in percent.</param>
public sealed record PublishedScore(
    string Model, string Benchmark, string? Selection, string Source, IReadOnlyDictionary<int, double> Scores);

/// <summary>
/// Published few-shot scores, which a report prints beside its own. Those of OpenFlamingo are means of three seeds, from "OpenFlamingo: An
/// Open-Source Framework for Training Large Autoregressive Vision-Language Models" (Awadalla et al., 2023) and its repository; those of
/// IDEFICS are from the cards of the models.
/// </summary>
public static class PublishedScores
{
    private const string OpenFlamingo = "OpenFlamingo's evaluation (Awadalla et al., 2023), mean of three seeds";
    private const string Idefics = "the model card of IDEFICS (Hugging Face, 2023)";

    private static readonly int[] Shots = [0, 4, 8, 16, 32];
    private static readonly string[] IdeficsBenchmarks = ["vqav2", "okvqa", "textvqa", "vizwiz", "coco", "flickr30k", "hateful-memes"];

    /// <summary>All scores, ordered by model.</summary>
    public static IReadOnlyList<PublishedScore> All { get; } =
    [
        .. OpenFlamingoScores("OpenFlamingo-3B", "random", new()
        {
            ["coco"] = [74.9, 77.3, 85.9, 89.8, 93.0], ["flickr30k"] = [52.3, 57.2, 58.6, 59.2, 61.1],
            ["vqav2"] = [44.6, 45.8, 46.2, 46.6, 47.0], ["okvqa"] = [28.2, 30.3, 31.1, 30.9, 31.0],
            ["textvqa"] = [24.2, 27.0, 27.7, 28.0, 28.3], ["vizwiz"] = [23.7, 27.0, 32.1, 36.1, 39.8],
            ["hateful-memes"] = [51.2, 50.6, 52.0, 48.5, 50.2],
        }),
        .. OpenFlamingoScores("OpenFlamingo-4B", "random", new()
        {
            ["coco"] = [76.7, 81.8, 90.7, 93.9, 95.1], ["flickr30k"] = [53.6, 60.7, 55.9, 56.8, 56.9],
            ["vqav2"] = [45.1, 49.0, 48.3, 45.5, 43.0], ["okvqa"] = [30.7, 35.1, 33.9, 28.5, 26.4],
            ["textvqa"] = [21.0, 25.9, 21.3, 18.2, 14.1], ["vizwiz"] = [18.8, 26.6, 28.8, 24.6, 23.1],
            ["hateful-memes"] = [52.3, 51.5, 55.2, 54.5, 52.2],
        }),
        .. OpenFlamingoScores("OpenFlamingo-9B", "random", new()
        {
            ["coco"] = [79.5, 89.0, 96.3, 98.8, 99.5], ["flickr30k"] = [59.5, 65.8, 62.9, 62.8, 61.3],
            ["vqav2"] = [52.7, 54.8, 54.8, 54.3, 53.3], ["okvqa"] = [37.8, 40.1, 41.1, 42.7, 42.4],
            ["textvqa"] = [24.2, 28.2, 29.1, 27.3, 23.8], ["vizwiz"] = [27.5, 34.1, 38.5, 42.5, 44.0],
            ["hateful-memes"] = [51.6, 54.0, 54.7, 53.9, 53.8],
        }),
        .. OpenFlamingoScores("OpenFlamingo-9B", "rices", new()
        {
            ["coco"] = [76.8, 93.1, 99.8, 105.6, 109.0], ["flickr30k"] = [39.2, 52.2, 58.7, 60.6, 63.0],
            ["vqav2"] = [53.0, 55.1, 56.0, 56.6, 56.8], ["okvqa"] = [38.3, 42.0, 44.1, 45.1, 46.3],
            ["textvqa"] = [28.3, 34.2, 34.8, 33.4, 31.1], ["vizwiz"] = [34.6, 41.0, 45.0, 46.2, 46.4],
            ["hateful-memes"] = [67.1, 70.1, 71.2, 73.2, 73.6],
        }),
        .. IdeficsScores("IDEFICS-9B", [(32, [57.9, 49.6, 28.3, 43.7, 98.0, 64.4, 49.8])]),
        .. IdeficsScores("IDEFICS-9B-instruct", [(32, [66.9, 52.3, 32.0, 46.0, 127.8, 76.3, 50.8])]),
        .. IdeficsScores("IDEFICS-80B",
            [(0, [60.0, 45.2, 30.9, 36.0, 91.8, 53.7, 60.6]), (4, [63.6, 52.4, 34.4, 40.4, 110.3, 73.7, 57.8])]),
    ];

    /// <summary>The scores of a benchmark that have at least one of the given numbers of shots, cut to these.</summary>
    public static IReadOnlyList<PublishedScore> Of(string benchmark, IReadOnlyCollection<int> shots) =>
    [
        .. from score in All
           where score.Benchmark == benchmark
           let kept = score.Scores.Where(one => shots.Contains(one.Key)).ToDictionary()
           where kept.Count > 0
           select score with { Scores = kept },
    ];

    private static IEnumerable<PublishedScore> OpenFlamingoScores(string model, string selection, Dictionary<string, double[]> scores) =>
        scores.Select(one => new PublishedScore(
            model, one.Key, selection, OpenFlamingo, Shots.Zip(one.Value).ToDictionary(pair => pair.First, pair => pair.Second)));

    private static IEnumerable<PublishedScore> IdeficsScores(string model, (int Shots, double[] Scores)[] rows) =>
        IdeficsBenchmarks.Select((benchmark, place) => new PublishedScore(
            model, benchmark, null, Idefics, rows.ToDictionary(row => row.Shots, row => row.Scores[place])));
}
