using Flamingo.Evaluation.Datasets;
using Flamingo.Evaluation.Reports;

namespace Flamingo.Evaluation.Scoring;

/// <summary>How one score differs between two runs, over the answers that both have.</summary>
/// <param name="Name">Benchmark, group, number of shots, selection and ablation.</param>
/// <param name="Pairs">Answers to the same query in the same trial.</param>
/// <param name="First">Mean of the first run over these.</param>
/// <param name="Second">Mean of the second.</param>
/// <param name="Low">Lower end of the 95 % interval of second − first, by resampling pairs.</param>
/// <param name="OtherShots">Pairs whose shots differ, for example because one run chose them by RICES.</param>
public sealed record PairedScore(string Name, int Pairs, double First, double Second, double Low, double High, int OtherShots)
{
    public double Difference => Second - First;
}

/// <summary>Compares two runs query by query: what both find hard cancels out, so that small differences show.</summary>
public static class Comparison
{
    /// <returns>A row for each score that both have; and what cannot be compared, in sentences.</returns>
    /// <exception cref="BenchmarkException">No answer of one run has a counterpart in the other.</exception>
    public static (IReadOnlyList<PairedScore> Scores, IReadOnlyList<string> Remarks) Of(EvaluationResults first, EvaluationResults second)
    {
        var (ours, theirs) = (Scored(first), Scored(second));
        var paired = ours.Keys.Where(theirs.ContainsKey).ToArray();
        if (paired.Length == 0)
            throw new BenchmarkException(
                "The two files have no answer to the same query with the same number of shots and the same seed, so "
                + "there is nothing to compare. Run both with the same benchmark, --shots, --seeds and --samples. "
                + string.Join(' ', Left(ours.Keys, second, "first", "second").Take(10)));
        PairedScore[] scores = [.. paired.GroupBy(key => key.Score).Select(group =>
        {
            var pairs = group.Select(key => (First: ours[key], Second: theirs[key], key.Id)).ToArray();
            var differences = pairs.GroupBy(pair => pair.Id, StringComparer.Ordinal)
                .Select(query => query.Average(pair => pair.Second.Score!.Value - pair.First.Score!.Value)).ToArray();
            var (low, high) = Bootstrap.OfMean(differences);
            return new PairedScore(group.Key, pairs.Length, pairs.Average(pair => pair.First.Score!.Value),
                pairs.Average(pair => pair.Second.Score!.Value), low, high,
                pairs.Count(pair => !pair.First.Answer.Shots.SequenceEqual(pair.Second.Answer.Shots)));
        })];
        List<string> remarks = [.. Left(ours.Keys, second, "first", "second"), .. Left(theirs.Keys, first, "second", "first")];
        if (scores.Sum(score => score.OtherShots) is > 0 and var other)
            remarks.Add($"{other} pairs were asked with different shots, so they compare the choice of shots too.");
        if (scores.Any(score => score.Name.StartsWith("hateful-memes", StringComparison.Ordinal)))
            remarks.Add("hateful-memes is compared by the probability of the right label, since ROC-AUC has no value for one answer.");
        return (scores, remarks);
    }

    // Why answers of one file have no counterpart in the other.
    private static IEnumerable<string> Left(IEnumerable<Pair> all, EvaluationResults other, string which, string where)
    {
        Pair[] asked = [.. other.Items.Select(Key)];
        var (scored, known) = (Scored(other), asked.ToHashSet());
        var (names, trials) = (asked.Select(pair => pair.Score).ToHashSet(StringComparer.Ordinal),
            asked.Select(pair => (pair.Score, pair.Trial, pair.Seed)).ToHashSet());
        return all.Where(pair => !scored.ContainsKey(pair))
            .GroupBy(pair => !names.Contains(pair.Score) ? $"the {where} has no {pair.Score}"
                : !trials.Contains((pair.Score, pair.Trial, pair.Seed)) ? $"the {where} has other seeds for {pair.Score}"
                : known.Contains(pair) ? $"the {where} has no answer to them, because asking failed"
                : $"the {where} asked other queries of {pair.Score}")
            .Select(reason => $"{reason.Count()} answers of the {which} file are left out: {reason.Key}.");
    }

    private readonly record struct Pair(string Score, int Trial, ulong Seed, string Id);

    private static Dictionary<Pair, ScoredItem> Scored(EvaluationResults results) =>
        results.Items.Where(item => item.Score is not null)
        .DistinctBy(Key).ToDictionary(Key);

    private static Pair Key(ScoredItem item)
    {
        var (answer, condition) = (item.Answer, item.Answer.Condition);
        var group = answer.Group.Length > 0 ? $" {answer.Group}" : "";
        var ablation = condition.Ablation == Runs.RunOptions.None ? "" : $", {condition.Ablation}";
        return new($"{answer.Benchmark}{group}, {condition.Shots} shots{ablation}", condition.Trial, condition.Seed, answer.Id);
    }
}
