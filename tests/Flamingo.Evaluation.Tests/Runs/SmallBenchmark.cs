using Flamingo.Evaluation.Datasets;

namespace Flamingo.Evaluation.Tests.Runs;

/// <summary>Benchmarks of a few items that are made up.</summary>
internal static class SmallBenchmark
{
    public static BenchmarkItem Item(string id, string answer, string group = "", string question = "") =>
        new(id, [new PicturePart($"/pictures/{id}.png")], [answer]) { Answer = answer, Group = group, Question = question };

    public static Benchmark Captions(int queries, int examples) => new("coco", BenchmarkKind.Caption, BenchmarkMetric.Cider,
        [.. Enumerable.Range(0, queries).Select(id => Item($"q{id}", $"a {id} dog on grass"))],
        [.. Enumerable.Range(0, examples).Select(id => Item($"e{id}", $"caption {id % 5}"))]);

    public static Benchmark Episodes() => new("episodes", BenchmarkKind.Complete, BenchmarkMetric.ExactMatch,
    [
        Item("0", " red", "color") with { Shots = [Item("0.0", " red"), Item("0.1", " blue"), Item("0.2", " red")],
            ShotCounts = [0, 1, 2] },
        Item("1", " two", "count") with { Shots = [Item("1.0", " one")], ShotCounts = [1] },
    ], []);
}
