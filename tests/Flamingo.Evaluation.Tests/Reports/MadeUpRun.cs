using Flamingo.Evaluation.Datasets;
using Flamingo.Evaluation.Reports;
using Flamingo.Evaluation.Runs;
using Flamingo.Testing;

namespace Flamingo.Evaluation.Tests.Reports;

/// <summary>
/// Results that no model gave: answers are drawn with a seed, and scores follow from them. Pictures are those of the shapes.
/// </summary>
internal sealed class MadeUpRun
{
    public const string Hostile = "</script><script>window.hacked=1</script><img src=x onerror=\"window.hacked=1\">'\"&lt;<!--";

    private static readonly string Shapes = RepositoryFiles.Path("tests", "reference", "shapes", "evaluation");

    private readonly List<ShotScore> _scores = [];
    private readonly List<ScoredItem> _items = [];
    private readonly Random _random = new(16);

    public List<Benchmark> Benchmarks { get; } = [];

    public EvaluationResults Results => new(Description, _scores, _items);

    public RunDescription Description { get; set; } = new(
        "flamingo eval coco vqav2 --model models/shapes --shots 0 4 8 16 32 --trials 3 --rices --results runs/shapes.json", "0.1.0",
        "flamingo-shapes",
        new Dictionary<string, string>
        {
            ["vision"] = "sha256:0f3c9d1f6b1e5f0a77e1b3f5c1c7f6d5a4b39281706f5e4d3c2b1a0918273645", ["resampler"] = "sha256:5e4d3c2b1a09",
            ["language"] = "sha256:3f5c1c7f6d5a",
        },
        new Dictionary<string, string>
        {
            ["name"] = "openflamingo", ["caption"] = "<image>Output:{caption}<|endofchunk|>",
            ["answer"] = "<image>Question:{question} Short answer:{answer}<|endofchunk|>",
        },
        new Dictionary<string, string> { ["--beams"] = "3", ["--query-set"] = "2048", ["--orientation"] = "ignore" },
        new DateTimeOffset(2025, 12, 1, 3, 7, 0, TimeSpan.FromHours(1)), new TimeSpan(2, 3, 4));

    /// <summary>Captions of shapes, called <c>coco</c>, with random and most similar shots and three ablations.</summary>
    public MadeUpRun Captions(int queries, params int[] shots)
    {
        var episodes = Read("episodes").Queries.Where(item => item.Group == "caption").ToList();
        var items = episodes.Select(item => item with
        {
            Parts = [item.Parts[0]], Group = "", Shots = null, References = [item.References[0], $"there is {item.References[0]}"],
        }).ToList();
        Add(new Benchmark("coco", BenchmarkKind.Caption, BenchmarkMetric.Cider, items[..queries], items[^40..]));
        foreach (var (selection, ablation, reached) in new[]
        {
            ("random", "none", 0.9), ("rices", "none", 1.05), ("random", "shuffled-labels", 0.85), ("random", "blank-pictures", 0.3),
            ("random", "other-pictures", 0.35),
        })
            foreach (var count in ablation == "none" ? shots : shots.Where(count => count is 4 or 8))
                Score(Benchmarks[^1], selection, ablation, count, reached * (0.7 + (0.3 * count / (count + 4))), 3);
        return this;
    }

    /// <summary>Questions with the answers of ten people, called <c>vqav2</c>; some of them fail.</summary>
    public MadeUpRun Questions(params int[] shots)
    {
        var items = Read("episodes").Queries.Where(item => item.Group == "vqa").Select(item => item with
        {
            Question = ((TextPart)item.Parts[1]).Text.Replace("Question:", "", StringComparison.Ordinal)
                .Replace(" Short answer:", "", StringComparison.Ordinal), Parts = [item.Parts[0]], Group = "", Shots = null,
            References = [.. Enumerable.Repeat(item.References[0], 7), "two", "two", "yes"],
        }).ToList();
        Add(new Benchmark("vqav2", BenchmarkKind.Answer, BenchmarkMetric.VqaAccuracy, items[..30], items[30..]));
        foreach (var count in shots) Score(Benchmarks[^1], "random", "none", count, 0.5 + (0.1 * count / (count + 8)), 3, failing: 11);
        return this;
    }

    /// <summary>The episodes of the shapes, each with shots of its own.</summary>
    public MadeUpRun Episodes()
    {
        Add(Read("episodes"));
        foreach (var group in Benchmarks[^1].Queries.GroupBy(item => item.Group))
            foreach (var count in group.First().ShotCounts!)
                Score(Benchmarks[^1] with { Queries = [.. group] }, "own", "none", count, count == 0 ? 0.05 : 0.6 + (0.04 * count), 1);
        return this;
    }

    /// <summary>One benchmark with two labels.</summary>
    public MadeUpRun Memes()
    {
        var items = Read("retrieval").Queries.Select(item => item with { References = [item.Id.Length == 1 ? "yes" : "no"] }).ToList();
        Add(new Benchmark("hateful-memes", BenchmarkKind.Complete, BenchmarkMetric.RocAuc, items, items) { Labels = ["yes", "no"] });
        foreach (var count in new[] { 0, 4 }) Score(Benchmarks[^1], "random", "none", count, 0.55, 2);
        return this;
    }

    public static Benchmark Read(string name) => Flamingo.Evaluation.Datasets.Benchmarks.Read(name, new BenchmarkFiles { Folder = Shapes });

    public void Add(Benchmark benchmark) => Benchmarks.Add(benchmark);

    public void Add(ShotScore score) => _scores.Add(score);

    public void Add(ScoredItem item) => _items.Add(item);

    private void Score(
        Benchmark benchmark, string selection, string ablation, int shots, double share, int trials, int failing = int.MaxValue)
    {
        var (all, top) = (new List<TrialScore>(), benchmark.Metric is BenchmarkMetric.ExactMatch ? 1.0 : 100.0);
        for (var trial = 0; trial < trials; trial++)
        {
            var (sum, failed) = (0.0, 0);
            foreach (var (place, query) in benchmark.Queries.Index())
            {
                var condition = new Condition(shots, trial, 42ul + (ulong)trial, selection, ablation);
                string[] drawn = query.Shots is { } own ? [.. own.Take(shots).Select(shot => shot.Id)]
                    : [.. Enumerable.Range(0, shots).Select(_ => benchmark.Examples[_random.Next(benchmark.Examples.Count)].Id)];
                var isRight = _random.NextDouble() < share;
                var other = benchmark.Queries[_random.Next(benchmark.Queries.Count)].References[0];
                var answer = new ItemAnswer(benchmark.Name, query.Group, condition, query.Id, drawn, isRight ? query.References[0] : other)
                {
                    Scores = benchmark.Labels.Count > 0 ? [-_random.NextDouble(), -1.2] : null,
                };
                if ((place + trial) % failing == failing - 1)
                {
                    failed++;
                    Add(new ScoredItem(answer with { Text = "", Error = "The server did not answer within 30 s (UNAVAILABLE)." }, null));
                    continue;
                }

                var score = benchmark.Metric switch
                {
                    BenchmarkMetric.Cider => top * (isRight ? 0.8 + (0.6 * _random.NextDouble()) : 0.4 * _random.NextDouble()),
                    BenchmarkMetric.VqaAccuracy => isRight ? 100 : other == "two" ? 60 : 0,
                    BenchmarkMetric.RocAuc => _random.NextDouble(),
                    _ => answer.Text == query.References[0] ? top : 0,
                };
                sum += score;
                Add(new ScoredItem(answer, score));
            }

            var count = benchmark.Queries.Count - failed;
            var value = sum / count * (benchmark.Metric is BenchmarkMetric.RocAuc ? 100 : 1);
            all.Add(new TrialScore(trial, 42ul + (ulong)trial, value, count, failed));
        }

        var mean = all.Average(trial => trial.Value);
        Add(new ShotScore(benchmark.Name, benchmark.Queries[0].Group, benchmark.Metric, selection, ablation, shots, all, mean,
            Math.Sqrt(all.Average(trial => Math.Pow(trial.Value - mean, 2))), Math.Max(0, mean - (0.04 * top)), mean + (0.04 * top)));
    }
}
