using System.Globalization;
using System.Text.RegularExpressions;
using ScottPlot;
using ScottPlot.TickGenerators;

namespace Flamingo.Training.Loop;

/// <summary>A value over the steps of a run.</summary>
public sealed record RunSeries(string Name, IReadOnlyList<(long Step, double Value)> Values);

/// <summary>Draws the metrics of a run. A picture is written beside its place and renamed, so that nobody sees half of one.</summary>
public static partial class RunPictures
{
    private const int Width = 900, Height = 500, Points = 300, PanelWidth = 420, PanelHeight = 320, MostColumns = 3;
    private const double SmallestLoss = 1e-6;

    /// <summary>Losses over steps, on a logarithmic axis that is labelled with the losses themselves.</summary>
    public static void Losses(string path, IReadOnlyList<RunSeries> series) => Write(path, series, "loss",
        value => Math.Log10(Math.Max(value, SmallestLoss)), value => Math.Pow(10, value).ToString("0.###", CultureInfo.InvariantCulture));

    /// <summary>The tanh of each gated block's attention gate over steps; 0 is a closed gate.</summary>
    public static void Gates(string path, IReadOnlyList<RunSeries> series) =>
        Write(path, series, "tanh of the attention gate", value => value, null);

    /// <summary>Share of right answers over steps: a panel for each task, and in it a line for each number of shots.</summary>
    /// <param name="series">Named <c>TASK at N shots</c>.</param>
    public static void Accuracy(string path, IReadOnlyList<RunSeries> series)
    {
        var tasks = series.Select(one => (Name: TaskAtShots().Match(one.Name), Series: one)).Where(one => one.Name.Success)
            .GroupBy(one => one.Name.Groups[1].Value).ToList();
        if (tasks.Count == 0) return;
        var all = new Multiplot();
        all.AddPlots(tasks.Count);
        var columns = Math.Min(MostColumns, tasks.Count);
        var rows = (tasks.Count + columns - 1) / columns;
        all.Layout = new ScottPlot.MultiplotLayouts.Grid(rows, columns);
        foreach (var (place, task) in tasks.Index())
        {
            var panel = all.GetPlot(place);
            foreach (var one in task.OrderBy(one => int.Parse(one.Name.Groups[2].ValueSpan, CultureInfo.InvariantCulture)))
                Add(panel, one.Series, $"{one.Name.Groups[2].Value} shots", value => value).MarkerSize = 5;
            panel.Title(task.Key);
            panel.XLabel("step");
            panel.YLabel("share of right answers");
            panel.Axes.SetLimitsY(-0.03, 1.03);
            panel.ShowLegend(Edge.Right);
        }

        var unfinished = Unfinished(path);
        all.SavePng(unfinished, columns * PanelWidth, rows * PanelHeight);
        File.Move(unfinished, path, overwrite: true);
    }

    private static void Write(
        string path, IReadOnlyList<RunSeries> series, string what, Func<double, double> drawn, Func<double, string>? label)
    {
        if (series.Count == 0) return;
        using var plot = new Plot();
        foreach (var one in series) Add(plot, one, one.Name, drawn);
        if (label is not null) plot.Axes.Left.TickGenerator = new NumericAutomatic { LabelFormatter = label };
        plot.XLabel("step");
        plot.YLabel(what);
        plot.ShowLegend(Edge.Right);
        var unfinished = Unfinished(path);
        plot.SavePng(unfinished, Width, Height);
        File.Move(unfinished, path, overwrite: true);
    }

    private static ScottPlot.Plottables.Scatter Add(Plot plot, RunSeries series, string name, Func<double, double> drawn)
    {
        // A point is the mean of neighbouring steps where there are very many.
        var points = series.Values.Chunk(((series.Values.Count - 1) / Points) + 1)
            .Select(chunk => (Step: chunk.Average(value => value.Step), Value: chunk.Average(value => value.Value))).ToList();
        var line = plot.Add.ScatterLine(points.Select(point => point.Step).ToArray(), points.Select(point => drawn(point.Value)).ToArray());
        (line.LegendText, line.LineWidth) = (name, 2);
        return line;
    }

    private static string Unfinished(string path) =>
        Path.Combine(Path.GetDirectoryName(path)!, $"unfinished-{Path.GetFileName(path)}");

    [GeneratedRegex("^(.*) at ([0-9]+) shots$")]
    private static partial Regex TaskAtShots();
}
