using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Flamingo.Evaluation.Datasets;
using Flamingo.Evaluation.Runs;

namespace Flamingo.Evaluation.Reports.Samples;

/// <summary>What the page's script reads: answers, the items that they are about, and pictures, each of which is there once.</summary>
/// <param name="Pictures">As <see cref="SamplePictures.Read"/> returns them.</param>
/// <param name="Items">Queries and shots; samples refer to them by position.</param>
/// <param name="Samples">The worst first.</param>
internal sealed record SampleData(IReadOnlyList<object?> Pictures, IReadOnlyList<SampleItem> Items, IReadOnlyList<Sample> Samples)
{
    // The default encoder escapes everything but harmless ASCII: no text can end the element that the data stands in.
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web)
    {
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

    public string ToJson() => JsonSerializer.Serialize(this, Json);

    /// <param name="items">The answers of a run.</param>
    public static SampleData Of(
        IReadOnlyList<ScoredItem> items, BenchmarkLookup lookup, IReadOnlyDictionary<string, BenchmarkMetric> metrics,
        ReportOptions options, CancellationToken cancellation)
    {
        var chosen = (
            from benchmark in items.GroupBy(item => item.Answer.Benchmark)
            where metrics.ContainsKey(benchmark.Key)
            let metric = metrics[benchmark.Key]
            let average = benchmark.Where(item => item.Score is { } score && double.IsFinite(score)).Average(item => item.Score) ?? 0
            from item in SampleChoice.Choose(benchmark, options.SamplesPerBenchmark)
            orderby item.Score / ReportWords.Top(metric)
            select (Item: item, Metric: metric, Average: average)).ToList();

        var (pictures, known, all) = (new SamplePictures(), new Dictionary<BenchmarkItem, int>(
            ReferenceEqualityComparer.Instance), new List<SampleItem>());
        // Queries come first, because they need their pictures most if the room does not suffice for all.
        var queries = chosen.Select(one => lookup.Query(one.Item.Answer.Benchmark, one.Item.Answer.Id)).ToList();
        var places = queries.Select(query => query is null ? (int?)null : Place(query, isShown: true)).ToList();
        var samples = chosen.Select((one, index) => Of(one.Item, one.Metric, one.Average, queries[index], places[index])).ToList();
        return new SampleData(pictures.Read(options, cancellation), all, samples);

        Sample Of(ScoredItem item, BenchmarkMetric metric, double average, BenchmarkItem? query, int? place)
        {
            var (answer, condition) = (item.Answer, item.Answer.Condition);
            var isBlank = condition.Ablation == RunOptions.BlankPictures;
            var shots = answer.Shots.Select(id => lookup.Shot(answer.Benchmark, query, id) is { } shot
                ? new SampleShot(Place(shot, isShown: !isBlank), null) : new SampleShot(null, id)).ToList();
            var labels = lookup.Benchmark(answer.Benchmark)?.Labels ?? [];
            return new Sample(
                answer.Benchmark, answer.Group, condition.Shots, condition.Trial + 1, $"{condition.Seed}",
                ReportWords.Selection(condition.Selection), ReportWords.Ablation(condition.Ablation), answer.Id, place, answer.Text,
                ReportWords.Value(metric, item.Score), Verdict(metric, item.Score!.Value, average), shots)
            {
                Note = ReportWords.AblationNote(condition.Ablation),
                IsBlank = isBlank,
                Choice = condition.Shots == 0 ? "" : ReportWords.Choice(condition.Selection, condition.Ablation),
                Labels = answer.Scores is { } scores && scores.Count == labels.Count ? Likeliest(labels, scores) : null,
            };
        }

        int Place(BenchmarkItem item, bool isShown)
        {
            if (!known.TryGetValue(item, out var place))
            {
                known[item] = place = all.Count;
                all.Add(new SampleItem(item.Id, [.. item.Parts.Select(part => new SamplePart((part as TextPart)?.Text))],
                    item.Question, item.Answer, item.References));
            }

            if (isShown)
                foreach (var (part, shown) in item.Parts.Zip(all[place].Parts))
                    if (part is PicturePart picture) shown.Picture ??= pictures.Ask(picture.File);
            return place;
        }
    }

    private static string Verdict(BenchmarkMetric metric, double score, double average) => metric switch
    {
        BenchmarkMetric.Cider => score < average ? "low" : "high",
        BenchmarkMetric.VqaAccuracy when score is > 0 and < 100 => "partly right",
        BenchmarkMetric.RocAuc => score > 0.5 ? "right" : "wrong",
        _ => score >= ReportWords.Top(metric) / 2 ? "right" : "wrong",
    };

    private static IReadOnlyList<string> Likeliest(IReadOnlyList<string> labels, IReadOnlyList<double> scores) =>
        [.. labels.Zip(scores).OrderByDescending(one => one.Second).Take(5)
            .Select(one => $"{one.First} ({one.Second.ToString("0.00", CultureInfo.InvariantCulture)})")];
}

/// <param name="Answer">What follows the item where it is a shot.</param>
internal sealed record SampleItem(
    string Id, IReadOnlyList<SamplePart> Parts, string Question, string Answer, IReadOnlyList<string> References);

/// <param name="Text">Null for a picture.</param>
internal sealed record SamplePart(string? Text)
{
    /// <summary>The place of the picture in <see cref="SampleData.Pictures"/>; null where none is to be shown.</summary>
    public int? Picture { get; set; }
}

/// <param name="Item">Null where the shot is not among the benchmark's examples.</param>
/// <param name="Id">Only where there is no item.</param>
internal sealed record SampleShot(int? Item, string? Id);

/// <param name="Trial">From 1.</param>
/// <param name="Seed">A text, because numbers of JavaScript have 53 bits.</param>
/// <param name="Item">The query; null where the benchmark has none of this id.</param>
/// <param name="Verdict">
/// <c>right</c>, <c>partly right</c> or <c>wrong</c>; for captions <c>low</c> or <c>high</c>: below the run's average or not.
/// </param>
internal sealed record Sample(
    string Benchmark, string Group, int Shots, int Trial, string Seed, string Selection, string Ablation, string Id, int? Item,
    string Answer, string Score, string Verdict, IReadOnlyList<SampleShot> Drawn)
{
    /// <summary>How shots were chosen and changed; empty where there are none.</summary>
    public string Choice { get; init; } = "";

    /// <summary>What the model saw in place of what is shown; empty where it saw the same.</summary>
    public string Note { get; init; } = "";

    /// <summary>Whether the model saw blank pictures in place of those of the shots.</summary>
    public bool IsBlank { get; init; }

    /// <summary>The likeliest labels with their log-likelihoods; null where text was generated.</summary>
    public IReadOnlyList<string>? Labels { get; init; }
}
