using System.Globalization;
using Flamingo.Cli.Reporting;
using Flamingo.Evaluation.Reports;
using Flamingo.Evaluation.Runs;

namespace Flamingo.Cli.Evaluating;

/// <summary>Prints scores by task and shots.</summary>
internal static class ScoreTable
{
    public static void Write(TextWriter output, IReadOnlyList<ShotScore> scores)
    {
        var (ablations, spread, best) =
            (scores.Any(score => score.Ablation != RunOptions.None), scores.Any(score => score.Trials.Count > 1),
            scores.Any(score => score.TopFive is not null));
        var table = Page.Table(
            ["score", .. ablations ? ["shots changed"] : Array.Empty<string>(), "mean", .. spread ? ["sd"] : Array.Empty<string>(),
            "95 % interval", .. best ? ["top 5"] : Array.Empty<string>(), "n", "failed"]);
        foreach (var score in scores)
            Page.AddRow(table, [$"{(score.Group.Length > 0 ? score.Group : score.Benchmark)} at {score.Shots} shots",
                .. ablations ? [score.Ablation] : Array.Empty<string>(), Number(score.Mean),
                .. spread ? [Number(score.StandardDeviation)] : Array.Empty<string>(), $"{Number(score.Low)} – {Number(score.High)}",
                .. best ? [score.TopFive is { } five ? Number(five) : ""] : Array.Empty<string>(),
                $"{score.Trials.Sum(trial => trial.Count)}", $"{score.Trials.Sum(trial => trial.Failed)}"]);
        Page.Write(output, table);
    }

    private static string Number(double value) => value.ToString("0.000", CultureInfo.InvariantCulture);
}
