using System.Globalization;
using System.Xml.Linq;
using Flamingo.Evaluation.Datasets;
using Flamingo.Evaluation.Reports;
using Xunit;

namespace Flamingo.Evaluation.Tests.Reports;

public sealed class ReportPlotsTests
{
    private static readonly XNamespace Svg = "http://www.w3.org/2000/svg";

    [Fact]
    public void Points_stand_where_their_values_are_on_the_axis()
    {
        double[] means = [10, 40, 25];
        var plot = Drawn([.. means.Index().Select(one => Score("coco", "", one.Index * 4, one.Item))]);
        var ticks = Texts(plot).Where(text => (string?)text.Attribute("text-anchor") == "end").ToList();
        Assert.Equal(["0", "10", "20", "30", "40", "50"], ticks.Select(tick => tick.Value));
        var (zero, fifty) = (Number(ticks[0], "y"), Number(ticks[^1], "y"));
        var line = plot.Descendants(Svg + "path").First(path => ((string)path.Attribute("d")!).Contains('L', StringComparison.Ordinal));
        var points = ((string)line.Attribute("d")!).TrimStart('M').Split('L')
            .Select(point => point.Split(' ').Select(number => double.Parse(number, CultureInfo.InvariantCulture)).ToArray()).ToList();
        Assert.Equal(means, points.Select(point => Math.Round(50 * (zero - 4.5 - point[1]) / (zero - fifty), 1)));
        var shots = Texts(plot).Where(text => (string?)text.Attribute("text-anchor") == "middle").ToList();
        Assert.Equal(["0", "4", "8"], points.Select(point => shots.MinBy(text => Math.Abs(Number(text, "x") - point[0]))!.Value));
    }

    [Fact]
    public void Axes_and_lines_have_names_and_no_two_lines_look_alike()
    {
        var groups = Enumerable.Range(0, 8).Select(group => $"task-{group}").ToList();
        var plot = Drawn([.. groups.SelectMany(group => new[] { Score("episodes", group, 0, 0.2), Score("episodes", group, 4, 0.9) })],
            BenchmarkMetric.ExactMatch);
        var texts = Texts(plot).Select(text => text.Value).ToList();
        Assert.All(groups.Concat(["episodes", "share of right answers (0 to 1)", "examples shown before the question (shots)"]),
            text => Assert.Contains(text, texts));
        var markers = plot.Descendants(Svg + "path").Where(path => path.Element(Svg + "title") is not null).ToList();
        Assert.Equal(16, markers.Count);
        // Without colour: the shape, whether it is filled, and the line's dashes.
        var looks = markers.Select(marker => (Shape: new string([.. ((string)marker.Attribute("d")!).Where(char.IsLetter)]),
            Hollow: (string?)marker.Attribute("fill") == "#ffffff", Line: marker.Value.Split(',')[0])).Distinct().ToList();
        Assert.Equal(8, looks.Count);
        Assert.Equal(8, looks.Select(look => (look.Shape, look.Hollow)).Distinct().Count());
        Assert.Contains(markers, marker => marker.Value == "task-3, 4 examples: 0.900, 95 % interval 0.880 to 0.920");
    }

    [Fact]
    public void More_lines_than_markers_are_divided_among_plots()
    {
        var plot = Drawn([.. Enumerable.Range(0, 11).Select(group => Score("vl-icl", $"task-{group}", 4, 0.5))], BenchmarkMetric.VlIcl);
        Assert.Equal(["vl-icl (1 of 2)", "vl-icl (2 of 2)"],
            Texts(plot).Where(text => (string?)text.Attribute("class") == "ink title").Select(text => text.Value));
        Assert.Equal(11, Texts(plot).Count(text => text.Value.StartsWith("task-", StringComparison.Ordinal)));
    }

    [Fact]
    public void Tasks_that_are_asked_in_several_ways_have_a_plot_each()
    {
        ShotScore[] scores =
        [
            .. from task in new[] { "count", "name" }
               from ablation in new[] { "none", "blank-pictures" }
               select Score("episodes", task, 4, 0.5) with { Ablation = ablation },
        ];
        var texts = Texts(Drawn(scores)).Select(text => text.Value).ToList();
        Assert.All(new[] { "episodes: count", "episodes: name", "random examples", "random examples, blank pictures" },
            text => Assert.Contains(text, texts));
    }

    [Theory]
    [InlineData(0.0, 0.0, 0.0)]
    [InlineData(1.0, 1.0, 1.0)]
    [InlineData(0.999, 0.9985, 0.9995)]
    [InlineData(0.5, double.NaN, double.NaN)]
    public void Any_value_has_an_axis_of_a_few_different_ticks_around_it(double mean, double low, double high)
    {
        var plot = Drawn([Score("episodes", "", 4, mean) with { Low = low, High = high }], BenchmarkMetric.ExactMatch);
        var ticks = Texts(plot).Where(text => (string?)text.Attribute("text-anchor") == "end")
            .Select(text => double.Parse(text.Value, CultureInfo.InvariantCulture)).ToList();
        Assert.InRange(ticks.Count, 3, 9);
        Assert.Equal(ticks.Distinct().Order(), ticks);
        Assert.True(ticks[0] >= 0 && ticks[0] <= mean && ticks[^1] >= mean && ticks[^1] <= 1, string.Join(' ', ticks));
        Assert.All(plot.Descendants().Attributes(), attribute => Assert.DoesNotContain("NaN", attribute.Value));
    }

    [Fact]
    public void A_long_or_hostile_name_is_shortened_and_stays_a_text()
    {
        var plot = Drawn([Score("coco", MadeUpRun.Hostile + "\u0001" + new string('字', 80), 4, 50), Score("coco", "b", 4, 50)]);
        var name = Texts(plot).Single(text => text.Value.Contains("window.hacked", StringComparison.Ordinal)).Value;
        Assert.EndsWith("…", name);
        Assert.InRange(name.Length, 20, 70);
        Assert.Empty(plot.Descendants(Svg + "script"));
    }

    [Fact]
    public void Nothing_is_drawn_of_scores_that_are_no_numbers()
    {
        using var output = new MemoryStream();
        Assert.False(ReportPlots.Write([Score("coco", "", 4, double.NaN)], output));
        Assert.False(ReportPlots.Write([], output));
        Assert.Equal(0, output.Length);
    }

    private static ShotScore Score(string benchmark, string group, int shots, double mean) => new(
        benchmark, group, BenchmarkMetric.Cider, "random", "none", shots, [new(0, 42, mean, 10, 0)], mean, 0, mean - 0.02, mean + 0.02);

    private static XElement Drawn(ShotScore[] scores, BenchmarkMetric metric = BenchmarkMetric.Cider)
    {
        using var output = new MemoryStream();
        Assert.True(ReportPlots.Write(scores.Select(score => score with { Metric = metric }), output));
        output.Position = 0;
        return XDocument.Load(output).Root!;
    }

    private static IEnumerable<XElement> Texts(XElement plot) => plot.Descendants(Svg + "text");

    private static double Number(XElement element, string name) =>
        double.Parse(element.Attribute(name)!.Value, CultureInfo.InvariantCulture);
}
