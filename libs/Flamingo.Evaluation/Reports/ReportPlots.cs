using System.Xml;
using Flamingo.Evaluation.Datasets;
using Flamingo.Evaluation.Reports.Curves;

namespace Flamingo.Evaluation.Reports;

/// <summary>
/// The few-shot curves of a run as SVG: the mean over trials by number of shots, with the 95 % interval. A benchmark with several groups
/// has a line for each; if it was asked in several ways too, a plot for each group and a line for each way.
/// </summary>
public static class ReportPlots
{
    /// <summary>Writes the plots of a benchmark as one SVG file, which needs no other file and no installed font.</summary>
    /// <param name="scores">Scores of the benchmark, as in <see cref="EvaluationResults.Scores"/>.</param>
    /// <returns>Whether there was anything to draw; nothing is written otherwise.</returns>
    public static bool Write(IEnumerable<ShotScore> scores, Stream output)
    {
        var panels = Panels([.. scores]);
        if (panels.Count == 0) return false;
        using var writer = XmlWriter.Create(output, new XmlWriterSettings { Indent = true, CloseOutput = false });
        CurveDrawing.Document(panels).Save(writer);
        return true;
    }

    /// <summary>The plots of one benchmark.</summary>
    internal static IReadOnlyList<CurvePanel> Panels(IReadOnlyList<ShotScore> scores)
    {
        ShotScore[] drawn = [.. scores.Where(score => double.IsFinite(score.Mean))];
        if (drawn.Length == 0) return [];
        var title = drawn[0].Benchmark;
        var ways = drawn.DistinctBy(score => (score.Selection, score.Ablation)).Count();
        var groups = drawn.GroupBy(score => score.Group).ToList();
        if (groups.Count > 1 && ways == 1) return Divided(title, drawn, score => Group(score.Group));
        return [.. groups.SelectMany(group => Divided(
            groups.Count > 1 ? $"{title}: {Group(group.Key)}" : title, group,
            score => ReportWords.Choice(score.Selection, score.Ablation)))];
    }

    private static IReadOnlyList<CurvePanel> Divided(string title, IEnumerable<ShotScore> scores, Func<ShotScore, string> name)
    {
        var lines = scores.GroupBy(score => (score.Group, score.Selection, score.Ablation)).Select(line =>
            new CurveLine(name(line.First()), [.. line.OrderBy(score => score.Shots).Select(Point)])).ToList();
        var metric = scores.First().Metric;
        // Parts of nearly the same size, where one plot would have too many lines.
        var parts = ((lines.Count - 1) / CurvePanel.MostLines) + 1;
        return [.. lines.Chunk((lines.Count + parts - 1) / parts).Select((chunk, part) => new CurvePanel(
            parts > 1 ? $"{title} ({part + 1} of {parts})" : title, ReportWords.Name(metric),
            metric == BenchmarkMetric.Cider ? null : ReportWords.Top(metric), chunk))];
    }

    private static CurvePoint Point(ShotScore score)
    {
        var (low, high) = double.IsFinite(score.Low) && double.IsFinite(score.High) ? (score.Low, score.High) : (score.Mean, score.Mean);
        return new CurvePoint(score.Shots, score.Mean, low, high,
            $"{ReportWords.Shots(score.Shots)}: {ReportWords.Value(score.Metric, score.Mean)}"
            + (high > low ? $", 95 % interval {ReportWords.Value(score.Metric, low)} to {ReportWords.Value(score.Metric, high)}" : ""));
    }

    private static string Group(string group) => group.Length > 0 ? group : "all";
}
