using System.CommandLine;
using System.Globalization;
using Flamingo.Cli.Reporting;
using Flamingo.Evaluation.Reports;
using Flamingo.Evaluation.Scoring;

namespace Flamingo.Cli.Evaluating;

/// <summary><c>flamingo eval compare</c> says how two runs differ, query by query.</summary>
public static class EvalCompareCommand
{
    public static Command Create()
    {
        var first = new Argument<FileInfo>("FIRST") { Description = "Results of one run: the file of its --results." };
        var second = new Argument<FileInfo>("SECOND") { Description = "Results of the other run." };
        var command = new Command("compare",
            "Print how the second run differs from the first, over the queries that both answered: the mean difference and its 95 % "
            + "interval.")
            { first, second };
        command.SetAction(parsed =>
        {
            var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
            var (a, b) = (ResultsFile.Read(parsed.GetRequiredValue(first).FullName),
                ResultsFile.Read(parsed.GetRequiredValue(second).FullName));
            var (scores, remarks) = Comparison.Of(a, b);
            var table = Page.Table("score", "pairs", "first", "second", "difference", "95 % interval", "");
            foreach (var score in scores)
                Page.AddRow(table, score.Name, $"{score.Pairs}", Number(score.First), Number(score.Second), Signed(score.Difference),
                    $"{Signed(score.Low)} to {Signed(score.High)}", score.Low > 0 || score.High < 0 ? "differs" : "may be chance");
            Page.Write(output, table);
            foreach (var remark in remarks) error.WriteLine($"flamingo: {remark}");
            return ExitCode.Done;
        });
        return command;
    }

    private static string Number(double value) => value.ToString("0.000", CultureInfo.InvariantCulture);

    private static string Signed(double value) => value.ToString("+0.000;-0.000;0.000", CultureInfo.InvariantCulture);
}
