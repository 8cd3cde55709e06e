using Flamingo.Evaluation.Datasets;

namespace Flamingo.Evaluation.Reports.Samples;

/// <summary>Finds the items of benchmarks by the ids that answers have. Null where there is none.</summary>
internal sealed class BenchmarkLookup(IEnumerable<Benchmark> benchmarks)
{
    private readonly Dictionary<string, Entry> _entries = benchmarks.DistinctBy(benchmark => benchmark.Name)
        .ToDictionary(benchmark => benchmark.Name, benchmark => new Entry(benchmark));

    public Benchmark? Benchmark(string name) => _entries.GetValueOrDefault(name)?.Benchmark;

    public BenchmarkItem? Query(string benchmark, string id) => _entries.GetValueOrDefault(benchmark)?.Queries.Value.GetValueOrDefault(id);

    /// <summary>A shot of a query: one of its own shots, or an example of the benchmark.</summary>
    public BenchmarkItem? Shot(string benchmark, BenchmarkItem? query, string id) =>
        query?.Shots?.FirstOrDefault(shot => shot.Id == id) ?? _entries.GetValueOrDefault(benchmark)?.Examples.Value.GetValueOrDefault(id);

    private sealed class Entry(Benchmark benchmark)
    {
        public Benchmark Benchmark => benchmark;

        public Lazy<Dictionary<string, BenchmarkItem>> Queries { get; } = new(() => ById(benchmark.Queries));

        public Lazy<Dictionary<string, BenchmarkItem>> Examples { get; } = new(() => ById(benchmark.Examples));

        private static Dictionary<string, BenchmarkItem> ById(IReadOnlyList<BenchmarkItem> items)
        {
            var all = new Dictionary<string, BenchmarkItem>(items.Count);
            foreach (var item in items) all.TryAdd(item.Id, item);
            return all;
        }
    }
}
