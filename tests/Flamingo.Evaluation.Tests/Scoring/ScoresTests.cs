using Flamingo.Evaluation.Datasets;
using Flamingo.Evaluation.Reports;
using Flamingo.Evaluation.Runs;
using Flamingo.Evaluation.Scoring;
using Xunit;

namespace Flamingo.Evaluation.Tests.Scoring;

/// <summary>Scores come from the answers: wrong, blank and shuffled ones score less by every metric, and failures are not scored.</summary>
public sealed class ScoresTests
{
    private const int Items = 40;

    private static readonly Condition Once = new(0, 0, 42, RunOptions.Random);

    public static TheoryData<string> Metrics =>
        [nameof(BenchmarkMetric.Cider), nameof(BenchmarkMetric.VqaAccuracy), nameof(BenchmarkMetric.RocAuc),
            nameof(BenchmarkMetric.Accuracy),
            nameof(BenchmarkMetric.ExactMatch), nameof(BenchmarkMetric.VlIcl)];

    [Theory]
    [MemberData(nameof(Metrics))]
    public void Wrong_predictions_blank_answers_and_shuffled_references_make_every_score_fall(string metric)
    {
        var benchmark = Benchmark(Enum.Parse<BenchmarkMetric>(metric));
        var right = Mean(benchmark, Right);
        Assert.True(right > 0.99 * Best(benchmark.Metric), $"right answers score {right}");
        Assert.True(Mean(benchmark, (one, _) => Answer(benchmark, one, (one.Index + 1) % Items)) < 0.7 * right, "wrong answers");
        if (benchmark.Labels.Count == 0)
            Assert.Equal(0, Mean(benchmark, (one, _) => Answer(benchmark, one, one.Index) with { Text = "" }));
        else
            Assert.True(Mean(benchmark,
                (one, _) => Answer(benchmark, one, one.Index) with { Text = "", Scores = [.. benchmark.Labels.Select(_ => 0.0)] })
                < 0.7 * right, "no opinion");
        var shuffled = benchmark with
        {
            Queries = [.. benchmark.Queries.Zip(benchmark.Queries.Skip(7).Concat(benchmark.Queries.Take(7)), (query, other) =>
                query with { References = other.References })],
        };
        Assert.True(Mean(shuffled, (one, _) => Answer(benchmark, one, one.Index)) < 0.7 * right, "shuffled references");

        ItemAnswer Right((int Index, BenchmarkItem Item) one, Condition condition) => Answer(benchmark, one, one.Index);
    }

    [Fact]
    public void Failures_are_counted_and_not_scored()
    {
        var benchmark = Benchmark(BenchmarkMetric.ExactMatch);
        var answers = benchmark.Queries.Index().Select(one => one.Index < 10
            ? Answer(benchmark, one, one.Index) with { Text = "", Error = "away" } : Answer(benchmark, one, one.Index)).ToArray();
        var (scores, items) = Scores.Of(benchmark, answers);
        var trial = Assert.Single(Assert.Single(scores).Trials);
        Assert.Equal((1.0, 30, 10), (trial.Value, trial.Count, trial.Failed));
        Assert.Equal(10, items.Count(item => item.Score is null));
    }

    [Fact]
    public void Trials_give_mean_and_deviation_and_the_interval_holds_the_mean()
    {
        var benchmark = Benchmark(BenchmarkMetric.ExactMatch);
        double[] shares = [0.5, 0.7, 0.9];
        var answers = shares.Index().SelectMany(trial => benchmark.Queries.Index().Select(one =>
            Answer(benchmark, one, one.Index < Items * trial.Item ? one.Index : Items) with
            {
                Condition = Once with { Trial = trial.Index, Seed = (ulong)trial.Index },
            }));
        var score = Assert.Single(Scores.Of(benchmark, [.. answers]).Scores);
        Assert.Equal(shares, score.Trials.Select(trial => trial.Value));
        Assert.Equal(0.7, score.Mean, 9);
        Assert.Equal(Math.Sqrt(0.08 / 3), score.StandardDeviation, 9);
        Assert.InRange(score.Low, 0.5, 0.69);
        Assert.InRange(score.High, 0.71, 0.9);
    }

    /// <summary>Each trial separates its memes, but with probabilities of another size, so all trials in one order would not.</summary>
    [Fact]
    public void The_area_of_several_trials_is_the_mean_of_their_areas_also_in_the_interval()
    {
        var benchmark = Benchmark(BenchmarkMetric.RocAuc);
        var answers = new[] { 0.0, 3.0, 6.0 }.Index().SelectMany(trial => benchmark.Queries.Index().Select(one =>
            Answer(benchmark, one, one.Index) with
            {
                Condition = Once with { Trial = trial.Index, Seed = (ulong)trial.Index },
                Scores = [trial.Item + (one.Index % 2 == 0 ? 1 : 0), 0],
            }));
        var score = Assert.Single(Scores.Of(benchmark, [.. answers]).Scores);
        Assert.Equal((100.0, 100.0, 100.0), (score.Mean, score.Low, score.High));
    }

    [Theory]
    [InlineData("other shots", "the second has no b, 0 shots")]
    [InlineData("other seeds", "the second has other seeds for b, 0 shots")]
    [InlineData("other queries", "the second asked other queries of b, 0 shots")]
    [InlineData("failed", "asking failed")]
    public void Answers_without_a_counterpart_are_told_with_the_reason(string difference, string told)
    {
        var benchmark = Benchmark(BenchmarkMetric.ExactMatch);
        var items = Scores.Of(benchmark, [.. benchmark.Queries.Index().Select(one => Answer(benchmark, one, one.Index))]).Items;
        var changed = items.Take(5).Select(item => difference switch
        {
            "other shots" => item with { Answer = item.Answer with { Condition = Once with { Shots = 4 } } },
            "other seeds" => item with { Answer = item.Answer with { Condition = Once with { Seed = 7 } } },
            "other queries" => item with { Answer = item.Answer with { Id = "other" } },
            _ => item with { Score = null, Answer = item.Answer with { Error = "away" } },
        }).ToArray();
        EvaluationResults Of(IEnumerable<ScoredItem> all) => new(null!, [], [.. all]);
        var whole = difference is "other queries" or "failed" ? changed.Concat(items.Skip(5)) : changed;
        if (difference is "other shots" or "other seeds")
        {
            var refused = Assert.Throws<BenchmarkException>(() => Comparison.Of(Of(items), Of(whole))).Message;
            Assert.Contains("40 answers of the first file are left out", refused, StringComparison.Ordinal);
            Assert.Contains(told, refused, StringComparison.Ordinal);
            return;
        }

        var (scores, remarks) = Comparison.Of(Of(items), Of(whole));
        Assert.Equal(Items - 5, Assert.Single(scores).Pairs);
        Assert.Contains(remarks, remark => remark.StartsWith("5 answers of the first file are left out", StringComparison.Ordinal)
            && remark.Contains(told, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("[]", "cannot be read")]
    [InlineData("{}", "no member \"flamingo\"")]
    [InlineData("{\"flamingo\": {}}", "lacks run, scores or items")]
    [InlineData("{\"flamingo\": {\"run\": {}, \"scores\": [], \"items\": [{}]}}", "an item lacks its answer")]
    [InlineData("{", "cannot be read")]
    public void A_file_of_something_else_is_refused_with_its_name(string text, string said)
    {
        var folder = Directory.CreateTempSubdirectory().FullName;
        var file = Path.Combine(folder, "results.json");
        File.WriteAllText(file, text);
        var refused = Assert.Throws<BenchmarkException>(() => ResultsFile.Read(file)).Message;
        Assert.Contains(file, refused, StringComparison.Ordinal);
        Assert.Contains(said, refused, StringComparison.Ordinal);
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public void An_interval_is_about_as_wide_as_the_normal_approximation_says()
    {
        double[] values = [.. Enumerable.Range(0, 400).Select(value => value % 4 == 0 ? 1.0 : 0)];
        var (low, high) = Bootstrap.OfMean(values);
        var half = 1.96 * Math.Sqrt(0.25 * 0.75 / 400);
        Assert.InRange(low, 0.25 - (1.2 * half), 0.25 - (0.8 * half));
        Assert.InRange(high, 0.25 + (0.8 * half), 0.25 + (1.2 * half));
        Assert.Equal((low, high), Bootstrap.OfMean(values));
    }

    [Fact]
    public void Results_are_read_as_they_were_written_and_compared_in_pairs()
    {
        var folder = Directory.CreateTempSubdirectory().FullName;
        var benchmark = Benchmark(BenchmarkMetric.VqaAccuracy) with { Name = "vqav2" };
        string Write(string name, Func<int, int> answered)
        {
            var answers = benchmark.Queries.Index().Select(one => Answer(benchmark, one, answered(one.Index))).ToArray();
            var (scores, items) = Scores.Of(benchmark, answers);
            var path = Path.Combine(folder, name);
            ResultsFile.Write(path, new EvaluationResults(new RunDescription("flamingo eval", "1", "m", new Dictionary<string, string>(),
                new Dictionary<string, string>(), new Dictionary<string, string>(), DateTimeOffset.UnixEpoch, TimeSpan.FromSeconds(3)),
                    scores, items));
            return path;
        }

        var all = ResultsFile.Read(Write("all.json", index => index));
        var some = ResultsFile.Read(Write("some.json", index => index % 4 == 0 ? Items : index));
        Assert.Equal((100.0, 75.0, Items), (all.Scores[0].Mean, some.Scores[0].Mean, all.Items.Count));
        Assert.Equal(TimeSpan.FromSeconds(3), all.Run.Elapsed);
        using var json = System.Text.Json.JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "some.json")));
        Assert.Equal(75, json.RootElement.GetProperty("vqav2")[0].GetProperty("mean").GetDouble());

        var (paired, remarks) = Comparison.Of(all, some);
        var score = Assert.Single(paired);
        Assert.Equal((Items, 100.0, 75.0, -25.0), (score.Pairs, score.First, score.Second, score.Difference));
        Assert.True(score.High < 0 && score.Low < -25);
        Assert.Empty(remarks);
        var others = all with { Items =
            [.. all.Items.Select(item => item with { Answer = item.Answer with { Id = "x" + item.Answer.Id } })] };
        Assert.Contains("nothing to compare", Assert.Throws<BenchmarkException>(() => Comparison.Of(all, others)).Message,
            StringComparison.Ordinal);
        Directory.Delete(folder, recursive: true);
    }

    private static double Best(BenchmarkMetric metric) => metric switch
    {
        BenchmarkMetric.Cider => 500, BenchmarkMetric.ExactMatch or BenchmarkMetric.VlIcl => 1, BenchmarkMetric.RocAuc => 100, _ => 100,
    };

    private static double Mean(Benchmark benchmark, Func<(int Index, BenchmarkItem Item), Condition, ItemAnswer> answer) =>
        Assert.Single(Scores.Of(benchmark, [.. benchmark.Queries.Index().Select(one => answer(one, Once))]).Scores).Mean;

    // The answer that would be right for another query; one past the last is right for none.
    private static ItemAnswer Answer(Benchmark benchmark, (int Index, BenchmarkItem Item) one, int right)
    {
        var answer = new ItemAnswer(benchmark.Name, "", Once, one.Item.Id, [], right < Items ? Words(benchmark.Metric, right) : "nothing");
        if (benchmark.Labels.Count == 0) return answer;
        var label = benchmark.Labels.ToList().IndexOf(right < Items ? Words(benchmark.Metric, right) : benchmark.Labels[0]);
        return answer with { Scores =
            [.. benchmark.Labels.Index().Select(other => other.Index == label ? -0.1 - (one.Index / 1000.0) : -4.0)] };
    }

    private static Benchmark Benchmark(BenchmarkMetric metric) => new("b", BenchmarkKind.Complete, metric,
        [.. Enumerable.Range(0, Items).Select(index => new BenchmarkItem($"{index}", [new PicturePart($"{index}.png")],
            metric == BenchmarkMetric.VqaAccuracy ? [.. Enumerable.Repeat(Words(metric, index), 10)] : [Words(metric, index)]))], [])
    {
        Labels = metric switch
        {
            BenchmarkMetric.RocAuc => ["yes", "no"],
            BenchmarkMetric.Accuracy => [.. Enumerable.Range(0, Items).Select(index => Words(metric, index))],
            _ => [],
        },
    };

    private static string Words(BenchmarkMetric metric, int index) => metric switch
    {
        BenchmarkMetric.RocAuc => index % 2 == 0 ? "yes" : "no",
        BenchmarkMetric.Cider => $"word{index} near house{index} with tree{index} and dog{index}",
        _ => $"word{index}",
    };
}
