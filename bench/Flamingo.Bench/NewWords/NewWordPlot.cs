using ScottPlot;

namespace Flamingo.Bench.NewWords;

/// <summary>Draws the accuracy over the number of shots.</summary>
public static class NewWordPlot
{
    private const int Width = 560, Height = 340;

    /// <param name="path">Path of the output file, which ends with .svg or .png.</param>
    public static void Write(IReadOnlyList<NewWordAccuracy> accuracies, string path)
    {
        using var plot = new Plot();
        double[] places = [.. Enumerable.Range(0, accuracies.Count).Select(place => (double)place)];
        Line("nearest to the query (RICES)", accuracies.Select(row => row.Rices));
        Line("at random", accuracies.Select(row => row.Random));
        plot.Axes.Bottom.SetTicks(places, [.. accuracies.Select(row => $"{row.Shots}")]);
        plot.Axes.SetLimitsY(0, 1.05);
        plot.XLabel("shots from a support set");
        plot.YLabel("new words named right");
        plot.ShowLegend(Alignment.UpperLeft);
        if (path.EndsWith(".png", StringComparison.OrdinalIgnoreCase)) plot.SavePng(path, Width, Height);
        else plot.SaveSvg(path, Width, Height);

        void Line(string name, IEnumerable<double> shares)
        {
            var line = plot.Add.Scatter(places, [.. shares]);
            (line.LegendText, line.LineWidth, line.MarkerSize) = (name, 2, 7);
        }
    }
}
