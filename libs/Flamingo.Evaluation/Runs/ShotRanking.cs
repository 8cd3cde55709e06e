using Flamingo.Evaluation.Datasets;

namespace Flamingo.Evaluation.Runs;

/// <summary>
/// Ranks the examples for each query, so that N shots are the first N: more shots are the fewer ones and others. A rank is computed once
/// and serves every number of shots and every ablation.
/// </summary>
/// <param name="most">The largest number of examples that any prompt takes.</param>
/// <param name="nearest">As for <see cref="RunPlan.Of"/>.</param>
internal sealed class ShotRanking(
    Benchmark benchmark, RunOptions options, int most, Func<BenchmarkItem, IEnumerable<BenchmarkItem>>? nearest)
{
    private readonly Dictionary<ulong, BenchmarkItem[]> _pools = [];
    private readonly Dictionary<(ulong Seed, string Query), BenchmarkItem[]> _ranked = [];

    private readonly Lazy<ILookup<string, BenchmarkItem>> _ownShots = new(() => benchmark.Queries
        .SelectMany(query => (query.Shots ?? []).Select(shot => (query.Group, Shot: shot)))
        .ToLookup(one => one.Group, one => one.Shot, StringComparer.Ordinal));

    /// <summary>The shots of a query, the first to take first.</summary>
    public IReadOnlyList<BenchmarkItem> Of(BenchmarkItem query, ulong seed)
    {
        if (query.Shots is not null) return query.Shots;
        if (nearest is not null) seed = 0; // similarity is the same in every trial
        if (_ranked.TryGetValue((seed, query.Id), out var known)) return known;
        var all = nearest is not null ? nearest(query)
            : SeededOrder.Shuffled(Pool(seed), seed, $"shots of {query.Id}", example => example.Id)
                .Where(example => !Shows(example, query));
        return _ranked[(seed, query.Id)] = [.. all.Take(most)];
    }

    /// <summary>What an ablation takes other labels and pictures from, where the shots themselves have only one.</summary>
    public IEnumerable<BenchmarkItem> Others(BenchmarkItem query, ulong seed) =>
        query.Shots is null ? Pool(seed) : _ownShots.Value[query.Group];

    private BenchmarkItem[] Pool(ulong seed)
    {
        if (!_pools.TryGetValue(seed, out var pool))
            _pools[seed] = pool =
                [.. SeededOrder.Shuffled(benchmark.Examples, seed, "query set", example => example.Id).Take(options.QuerySet)];
        return pool;
    }

    // An example with the query's own picture would give the answer away.
    private static bool Shows(BenchmarkItem example, BenchmarkItem query) =>
        example.Parts.OfType<PicturePart>().Select(part => part.File).Intersect(query.Parts.OfType<PicturePart>().Select(part => part.File))
            .Any();
}
