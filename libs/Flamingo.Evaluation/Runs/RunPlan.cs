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
    /// <exception cref="BenchmarkException">Shots are asked for where the benchmark has no examples to draw from.</exception>
    public static IEnumerable<PlannedQuery> Of(
        Benchmark benchmark, RunOptions options, Func<BenchmarkItem, IReadOnlyList<BenchmarkItem>>? nearest = null)
    {
        Check(benchmark, options);
        return from ablation in options.Ablations.Prepend(RunOptions.None)
               from shots in Counts(benchmark, options)
               from trial in options.Seeds.Index()
               where ablation == RunOptions.None || shots > 0
               from planned in Trial(benchmark, options, nearest, ablation, shots, trial.Index, trial.Item)
               select planned;
    }

    /// <summary>The numbers of shots of a run, ascending.</summary>
    public static IReadOnlyList<int> Counts(Benchmark benchmark, RunOptions options) => options.Shots
        ?? (benchmark.Queries.Any(query => query.ShotCounts is not null)
            ? [.. benchmark.Queries.SelectMany(query => query.ShotCounts ?? []).Distinct().Order()]
            : benchmark.Examples.Count > 0 || IsSupportSet(options) ? PaperShots : [0]);

    private static bool IsSupportSet(RunOptions options) => options.Selection is not (RunOptions.Random or RunOptions.Rices);

    private static void Check(Benchmark benchmark, RunOptions options)
    {
        if (benchmark.Examples.Count > 0 || IsSupportSet(options) || benchmark.Queries.Any(query => query.Shots is not null)) return;
        if (options.Shots?.FirstOrDefault(shots => shots > 0) is > 0 and var asked)
            throw new BenchmarkException(
                $"{benchmark.Name} has no examples to draw {asked} shots from. Name the files of the training split "
                + "(see docs/evaluation.md), or ask for --shots 0.");
    }

    private static IEnumerable<PlannedQuery> Trial(
        Benchmark benchmark, RunOptions options, Func<BenchmarkItem, IReadOnlyList<BenchmarkItem>>? nearest, string ablation, int shots,
        int trial, ulong seed)
    {
        var queries = Queries(benchmark, options, seed);
        var pool = SeededOrder.Shuffled(benchmark.Examples, seed, "query set", example => example.Id).Take(options.QuerySet).ToArray();
        foreach (var query in queries)
        {
            if (query.ShotCounts is { } counts && !counts.Contains(shots)) continue;
            var own = query.Shots is not null;
            var condition = new Condition(shots, trial, seed, own ? RunOptions.Own : options.Selection, ablation);
            if (!own && IsSupportSet(options))
            {
                yield return new PlannedQuery(condition, query, []); // the server draws
                continue;
            }

            IEnumerable<BenchmarkItem> from = own ? query.Shots!
                : shots > 0 && nearest is not null ? nearest(query).Take(shots).Reverse() // the nearest comes last, next to the query
                : SeededOrder.Shuffled(pool, seed, $"shots of {query.Id}", example => example.Id).Where(example => !Shows(example, query));
            var textAlone = shots == 0 && !own && (benchmark.Kind != BenchmarkKind.Complete || benchmark.Labels.Count > 0);
            BenchmarkItem[] drawn = [.. from.Take(textAlone ? TextOnlyExamples : shots)];
            IReadOnlyList<BenchmarkItem> others = own ? query.Shots! : pool;
            yield return new PlannedQuery(condition, query, Ablation.Apply(ablation, drawn, others, seed, query.Id))
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

    // An example with the query's own picture would give the answer away.
    private static bool Shows(BenchmarkItem example, BenchmarkItem query) =>
        example.Parts.OfType<PicturePart>().Select(part => part.File).Intersect(query.Parts.OfType<PicturePart>().Select(part => part.File))
            .Any();
}
