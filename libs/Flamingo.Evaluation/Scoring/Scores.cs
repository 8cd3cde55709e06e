using Flamingo.Evaluation.Datasets;
using Flamingo.Evaluation.Metrics;
using Flamingo.Evaluation.Reports;
using Flamingo.Evaluation.Runs;

namespace Flamingo.Evaluation.Scoring;

/// <summary>Scores the answers of a run by the benchmark's metric.</summary>
public static class Scores
{
    private const int Best = 5;

    /// <param name="answers">Of this benchmark. Failed ones are counted and not scored.</param>
    /// <returns>
    /// The scores by group, in the benchmark's order, then by selection, ablation and number of shots; and every answer with its own score.
    /// </returns>
    /// <exception cref="BenchmarkException">An answer is to a query that the benchmark does not have.</exception>
    public static (IReadOnlyList<ShotScore> Scores, IReadOnlyList<ScoredItem> Items) Of(Benchmark benchmark,
        IReadOnlyList<ItemAnswer> answers)
    {
        var queries = benchmark.Queries.ToDictionary(query => query.Id, StringComparer.Ordinal);
        var items = answers.GroupBy(answer => answer.Condition).SelectMany(answered => Score(benchmark, queries, [.. answered])).ToArray();
        var groups = benchmark.Queries.Select(query => query.Group).Distinct(StringComparer.Ordinal).ToList();
        var scores = items
            .OrderBy(item => groups.IndexOf(item.Answer.Group))
            .GroupBy(item => (item.Answer.Group, item.Answer.Condition.Selection, item.Answer.Condition.Ablation,
                item.Answer.Condition.Shots))
            .Select(group => Summed(benchmark, queries, [.. group]));
        return ([.. scores], items);
    }

    // The answers of one condition together, because CIDEr weighs words by all the pictures that are asked.
    private static IEnumerable<ScoredItem> Score(
        Benchmark benchmark, Dictionary<string, BenchmarkItem> queries, IReadOnlyList<ItemAnswer> answers)
    {
        var failed = answers.Where(answer => answer.Error is not null);
        var given = answers.Where(answer => answer.Error is null).ToArray();
        var asked = given.Select(answer => queries.GetValueOrDefault(answer.Id)
            ?? throw new BenchmarkException($"{benchmark.Name} has no query {answer.Id}, to which there is an answer.")).ToArray();
        double[] scores = benchmark.Metric == BenchmarkMetric.Cider
            ? [.. Cider.OfTexts([.. given.Select(answer => GeneratedText.Caption(answer.Text))], 
                [.. asked.Select(query => query.References)]).Select(score => 100 * score)]
            : [.. given.Zip(asked, (answer, query) => Score(benchmark, query, answer))];
        return given.Zip(scores, (answer, score) => new ScoredItem(answer, score))
            .Concat(failed.Select(answer => new ScoredItem(answer, null)));
    }

    private static double Score(Benchmark benchmark, BenchmarkItem query, ItemAnswer answer) => benchmark.Metric switch
    {
        BenchmarkMetric.VqaAccuracy => 100 * VqaAccuracy.Of(GeneratedText.Answer(answer.Text), query.References),
        BenchmarkMetric.RocAuc => 100 * Probability(answer.Scores!, Label(benchmark, query)),
        BenchmarkMetric.Accuracy => answer.Text == query.References[0] ? 100 : 0,
        BenchmarkMetric.VlIcl => VlIcl.IsRight(query.Group, answer.Text, query.References[0]) ? 1 : 0,
        _ => answer.Text == query.References[0] ? 1 : 0,
    };

    private static int Label(Benchmark benchmark, BenchmarkItem query)
    {
        var label = benchmark.Labels.Index().FirstOrDefault(one => one.Item == query.References[0], (Index: -1, Item: "")).Index;
        return label >= 0 ? label : throw new BenchmarkException(
            $"{benchmark.Name}, {query.Id}: '{query.References[0]}' is none of the labels {string.Join(", ", benchmark.Labels)}.");
    }

    // Of one label among all, from the log-likelihoods.
    private static double Probability(IReadOnlyList<double> scores, int label)
    {
        var largest = scores.Max();
        return Math.Exp(scores[label] - largest) / scores.Sum(score => Math.Exp(score - largest));
    }

    private static ShotScore Summed(Benchmark benchmark, Dictionary<string, BenchmarkItem> queries, IReadOnlyList<ScoredItem> items)
    {
        var trials = items.GroupBy(item => (item.Answer.Condition.Trial, item.Answer.Condition.Seed)).OrderBy(trial => trial.Key.Trial)
            .Select(trial => (trial.Key, Scored: trial.Where(item => item.Score is not null).ToArray(),
                Failed: trial.Count(item => item.Score is null)))
            .ToArray();
        TrialScore[] scores = [.. trials.Select(trial => new TrialScore(
            trial.Key.Trial, trial.Key.Seed, Value(benchmark, queries, trial.Scored), trial.Scored.Length, trial.Failed))];
        double[] values = [.. scores.Where(score => score.Count > 0).Select(score => score.Value)];
        var mean = values.Length == 0 ? double.NaN : values.Average();
        var (low, high) = Interval(benchmark, queries, [.. trials.SelectMany(trial => trial.Scored)]);
        var (answer, condition) = (items[0].Answer, items[0].Answer.Condition);
        return new ShotScore(benchmark.Name, answer.Group, benchmark.Metric, condition.Selection, condition.Ablation, condition.Shots,
            scores,
            mean, values.Length == 0 ? double.NaN : Math.Sqrt(values.Average(value => (value - mean) * (value - mean))), low, high)
        {
            TopFive = benchmark is { Metric: BenchmarkMetric.Accuracy, Labels.Count: > Best }
                ? trials.Where(trial => trial.Scored.Length > 0)
                    .Select(trial => 100.0 * trial.Scored.Count(item => IsAmongBest(benchmark, queries, item))
                    / trial.Scored.Length).DefaultIfEmpty(double.NaN).Average()
                : null,
        };
    }

    private static double Value(Benchmark benchmark, Dictionary<string, BenchmarkItem> queries, IReadOnlyList<ScoredItem> items) =>
        items.Count == 0 ? double.NaN
        : benchmark.Metric == BenchmarkMetric.RocAuc ? Area(benchmark, queries, items)
        : items.Average(item => item.Score!.Value);

    private static double Area(Benchmark benchmark, Dictionary<string, BenchmarkItem> queries, IEnumerable<ScoredItem> items)
    {
        ScoredItem[] all = [.. items];
        return 100 * RocAuc.Of([.. all.Select(item => Label(benchmark, queries[item.Answer.Id]) == 0)],
            [.. all.Select(item => Probability(item.Answer.Scores!, 0))]);
    }

    // A query is drawn with all its trials, since its answers in several trials are not independent.
    private static (double Low, double High) Interval(
        Benchmark benchmark, Dictionary<string, BenchmarkItem> queries, IReadOnlyList<ScoredItem> items)
    {
        var byQuery = items.GroupBy(item => item.Answer.Id, StringComparer.Ordinal).Select(query => query.ToArray()).ToArray();
        if (benchmark.Metric == BenchmarkMetric.RocAuc)
        {
            // Each trial has an area of its own: probabilities of different prompts have no common order.
            var trials = items.Select(item => item.Answer.Condition.Trial).Distinct().ToArray();
            var judged = byQuery.Select(query => trials.Select(trial => query.Where(item => item.Answer.Condition.Trial == trial)
                .Select(item => (Label(benchmark, queries[item.Answer.Id]) == 0, Probability(item.Answer.Scores!, 0))).ToArray()).ToArray())
                .ToArray();
            return Bootstrap.Interval(byQuery.Length, drawn => 100 * Enumerable.Range(0, trials.Length).Average(trial =>
            {
                (bool Positive, double Score)[] asked = [.. drawn.SelectMany(query => judged[query][trial])];
                return RocAuc.Of([.. asked.Select(one => one.Positive)], [.. asked.Select(one => one.Score)]);
            }));
        }

        var means = byQuery.Select(query => query.Average(item => item.Score!.Value)).ToArray();
        return Bootstrap.OfMean(means);
    }

    private static bool IsAmongBest(Benchmark benchmark, Dictionary<string, BenchmarkItem> queries, ScoredItem item)
    {
        var right = Label(benchmark, queries[item.Answer.Id]);
        return item.Answer.Scores!.Count(score => score > item.Answer.Scores![right]) < Best;
    }
}
