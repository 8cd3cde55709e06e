using System.CommandLine;
using System.Globalization;
using Flamingo.Cli.Reporting;
using Flamingo.Evaluation.Metrics;

namespace Flamingo.Cli.Evaluating;

/// <summary><c>flamingo eval metrics</c> compares our metrics with scores that the original programs recorded.</summary>
public static class EvalMetricsCommand
{
    public static Command Create()
    {
        var file = new Argument<FileInfo>("FILE") { Description = "A file in the format of tests/reference/metrics.json." };
        var command = new Command("metrics",
            "Compute the scores of recorded predictions, and print the largest difference from the recorded scores. The exit code is 3 "
            + "above 1e-6.") { file };
        command.SetAction(parsed =>
        {
            var output = parsed.InvocationConfiguration.Output;
            var sections = MetricsFile.Compare(parsed.GetRequiredValue(file).FullName);
            var table = Page.Table("metric", "rows", "here", "in the file", "difference", "largest of a row");
            foreach (var section in sections)
                Page.AddRow(table, section.Section, $"{section.Rows}", Number(section.Ours), Number(section.Theirs),
                    Small(section.Overall), Small(section.Row));
            Page.Write(output, table);
            var largest = sections.Max(section => section.Largest);
            output.WriteLine($"largest difference: {largest.ToString("0.0e+00", CultureInfo.InvariantCulture)}");
            foreach (var section in sections.Where(section => section.Largest > MetricsFile.Tolerance))
                parsed.InvocationConfiguration.Error.WriteLine(
                    $"flamingo: {section.Section} differs: {section.Worst ?? "the score of all rows"}");
            return largest > MetricsFile.Tolerance ? ExitCode.GoldenBroken : ExitCode.Done;
        });
        return command;
    }

    private static string Small(double? value) => value?.ToString("0.0e+00", CultureInfo.InvariantCulture) ?? "";

    private static string Number(double? value) => value?.ToString("0.########", CultureInfo.InvariantCulture) ?? "";
}
