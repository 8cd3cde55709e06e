using Flamingo.Evaluation.Datasets;

namespace Flamingo.Evaluation.Runs;

/// <summary>A query with the shots before it.</summary>
/// <param name="Shots">In the order of the prompt. For zero shots as the papers mean it, two examples that are shown without
/// pictures.</param>
public sealed record PlannedQuery(Condition Condition, BenchmarkItem Query, IReadOnlyList<BenchmarkItem> Shots)
{
    /// <summary>Whether the shots are shown without their pictures.</summary>
    public bool TextAlone { get; init; }

    /// <summary>Whether every picture of the shots is replaced by an empty grey one.</summary>
    public bool Blank { get; init; }

    /// <summary>What the results say was drawn; text-only examples of zero shots are not shots.</summary>
    public IReadOnlyList<string> ShotIds => TextAlone ? [] : [.. Shots.Select(shot => shot.Id)];
}

/// <summary>Everything that a run asks, in its order: by ablation, number of shots, trial, and query.</summary>
public static class RunPlan
{
    // Zero shots in the papers: two examples whose pictures are left out show the form of an answer.
    private const int TextOnlyExamples = 2;

    private static readonly int[] PaperShots = [0, 4, 8, 16, 32];

    /// <param name="nearest">
    /// For RICES: the examples from the nearest to the farthest; null where shots are drawn at random or are the items' own.
    /// </param>
    /// <exception cref="BenchmarkException">
    /// The benchmark has no queries with so many shots, or too few examples to draw them from. The first is said at once, before the plan
    /// is read; only a query whose own picture is among the few examples is found later.
    /// </exception>
    public static IEnumerable<PlannedQuery> Of(
        Benchmark benchmark, RunOptions options, Func<BenchmarkItem, IEnumerable<BenchmarkItem>>? nearest = null)
    {
        Check(benchmark, options);
        var counts = Counts(benchmark, options);
        var ranking = new ShotRanking(benchmark, options, Math.Max(TextOnlyExamples, counts.DefaultIfEmpty().Max()), nearest);
        return from ablation in options.Ablations.Prepend(RunOptions.None)
               from shots in counts
               from trial in options.Seeds.Index()
               where ablation == RunOptions.None || shots > 0
               from planned in Trial(benchmark, options, ranking, ablation, shots, trial.Index, trial.Item)
               select planned;
    }

    /// <summary>The numbers of shots of a run, ascending.</summary>
    public static IReadOnlyList<int> Counts(Benchmark benchmark, RunOptions options) => options.Shots ?? OwnCounts(benchmark)
        ?? (IsSupportSet(options) ? PaperShots : [.. PaperShots.Where(shots => shots <= Available(benchmark, options))]);

    /// <summary>The numbers of shots with which some query is asked; null where the run decides.</summary>
    private static int[]? OwnCounts(Benchmark benchmark) => benchmark.Queries.Any(query => query.ShotCounts is not null)
        ? [.. benchmark.Queries.SelectMany(query => query.ShotCounts ?? []).Distinct().Order()] : null;

    private static bool IsSupportSet(RunOptions options) => options.Selection is not (RunOptions.Random or RunOptions.Rices);

    private static int Available(Benchmark benchmark, RunOptions options) => options.Selection == RunOptions.Rices
        ? benchmark.Examples.Count : Math.Min(options.QuerySet, benchmark.Examples.Count);

    /// <summary>Checks the numbers of shots of a run, which <see cref="Of"/> does too; a caller may want to know before it has a model.
    /// </summary>
    /// <exception cref="BenchmarkException">The benchmark has no queries with so many shots, or too few examples.</exception>
    public static void Check(Benchmark benchmark, RunOptions options)
    {
        if (options.Shots is not { } asked) return;
        if (OwnCounts(benchmark) is { } own)
        {
            if (asked.Except(own).ToArray() is [_, ..] unknown)
                throw new BenchmarkException($"{benchmark.Name} has no query with {string.Join(" or ", unknown)} shots. Its queries have "
                    + $"shots of their own: ask for some of --shots {string.Join(' ', own)}.");
            return;
        }

        var most = asked.DefaultIfEmpty().Max();
        if (IsSupportSet(options) || most <= Available(benchmark, options)) return;
        throw new BenchmarkException(benchmark.Examples.Count == 0
            ? $"{benchmark.Name} has no examples to draw {most} shots from. Name the files of the training split "
                + "(see docs/evaluation.md), or ask for --shots 0."
            : $"{most} shots cannot be drawn from {Available(benchmark, options)} examples. "
                + (most <= benchmark.Examples.Count ? "Raise --query-set, or ask for fewer --shots." : "Ask for fewer --shots."));
    }

    private static IEnumerable<PlannedQuery> Trial(
        Benchmark benchmark, RunOptions options, ShotRanking ranking, string ablation, int shots, int trial, ulong seed)
    {
        foreach (var query in Queries(benchmark, options, seed))
        {
            if (query.ShotCounts is { } counts && !counts.Contains(shots)) continue;
            var own = query.Shots is not null;
            var condition = new Condition(shots, trial, seed, own ? RunOptions.Own : options.Selection, ablation);
            if (!own && IsSupportSet(options))
            {
                yield return new PlannedQuery(condition, query, []); // the server draws
                continue;
            }

            var textAlone = shots == 0 && !own && (benchmark.Kind != BenchmarkKind.Complete || benchmark.Labels.Count > 0);
            BenchmarkItem[] drawn = [.. ranking.Of(query, seed).Take(textAlone ? TextOnlyExamples : shots)];
            if (drawn.Length < shots)
                throw new BenchmarkException($"{benchmark.Name}, {query.Id}: there are only {drawn.Length} examples that can be its "
                    + $"shots, not {shots}. Ask for fewer --shots.");
            if (!own && options.Selection == RunOptions.Rices) Array.Reverse(drawn); // the nearest comes last, next to the query
            yield return new PlannedQuery(
                condition, query, Ablation.Apply(ablation, drawn, ranking.Others(query, seed), seed, query.Id))
            {
                TextAlone = textAlone, Blank = ablation == RunOptions.BlankPictures,
            };
        }
    }

    private static IEnumerable<BenchmarkItem> Queries(Benchmark benchmark, RunOptions options, ulong seed)
    {
        if (options.Samples is not { } samples || samples >= benchmark.Queries.Count) return benchmark.Queries;
        var chosen = SeededOrder.Shuffled(benchmark.Queries, seed, "queries", query => query.Id).Take(samples)
            .Select(query => query.Id).ToHashSet(StringComparer.Ordinal);
        return benchmark.Queries.Where(query => chosen.Contains(query.Id)); // in the order of the file
    }
}
