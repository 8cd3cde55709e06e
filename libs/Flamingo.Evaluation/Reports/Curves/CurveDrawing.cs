using System.Globalization;
using System.Xml.Linq;

namespace Flamingo.Evaluation.Reports.Curves;

/// <summary>
/// Draws plots as SVG. It is written here and not by ScottPlot, which bench and training use, because a page needs classes that its style
/// sheet can colour for light and dark, texts that readers can select and hear, and the same file on machines with other fonts or none:
/// ScottPlot measures letters with an installed font and places each one. Colours stand in attributes too, for programs that read SVG
/// without style sheets. Lines differ by marker and dashes as well as by colour.
/// </summary>
internal static class CurveDrawing
{
    /// <summary>Width of a plot in its own units; letters are 13 of them high.</summary>
    public const int Width = 480;

    private const double Left = 52, Right = 16, Top = 58, PlotHeight = 230, AxisRoom = 46, LegendRow = 22, Bottom = 10, Letter = 13;
    private const string Ink = "#1b1f24", Faint = "#57606a", Grid = "#d8dee4", Ground = "#ffffff";

    private static readonly XNamespace Svg = "http://www.w3.org/2000/svg";

    private static readonly string[] Colours =
        ["#0b62b3", "#b93d00", "#0a7a4b", "#7a3fc4", "#b0225e", "#7a5a00", "#0c7489", "#4a4a4a"];

    private static readonly string[] Dashes = ["", "7 4", "2 3", "10 3 2 3", "", "7 4", "2 3", "10 3 2 3"];

    /// <summary>Colours for readers who prefer dark; the page has the same rules in its style sheet.</summary>
    private const string Style = """
        @media (prefers-color-scheme: dark) {
          .ground { fill: #14171c } .ink { fill: #e8eaed } .faint { fill: #a8b0ba } .grid { stroke: #343b45 } .axis { stroke: #a8b0ba }
          .c0 { --c: #6db3ff } .c1 { --c: #ff9c5f } .c2 { --c: #4fd69c } .c3 { --c: #c6a5ff }
          .c4 { --c: #ff8db8 } .c5 { --c: #e3b94a } .c6 { --c: #62d6e8 } .c7 { --c: #cfcfcf }
          .stroke { stroke: var(--c) } .fill { fill: var(--c) }
        }
        """;

    /// <summary>A plot for a page, whose style sheet knows the classes.</summary>
    public static XElement Draw(CurvePanel panel)
    {
        var (group, height) = Panel(panel);
        return new XElement(Svg + "svg", new XAttribute("class", "plot"), new XAttribute("role", "img"),
            new XAttribute("aria-label",
                $"{Clean(panel.Title)}: {panel.Scale} over the number of examples. The table has the same numbers."),
            new XAttribute("viewBox", $"0 0 {Width} {N(height)}"), group);
    }

    /// <summary>Plots one below the other as a file of their own.</summary>
    public static XDocument Document(IReadOnlyList<CurvePanel> panels)
    {
        var (parts, height) = (new List<XElement>(), 0.0);
        foreach (var panel in panels)
        {
            var (group, own) = Panel(panel);
            group.SetAttributeValue("transform", $"translate(0 {N(height)})");
            parts.Add(group);
            height += own;
        }

        return new XDocument(new XElement(Svg + "svg", new XAttribute("viewBox", $"0 0 {Width} {N(height)}"),
            new XAttribute("width", N(Width * 1.5)), new XAttribute("height", N(height * 1.5)),
            new XElement(Svg + "title", Clean(string.Join(", ", panels.Select(panel => $"{panel.Title}: {panel.Scale}")))),
            new XElement(Svg + "style", Style),
            Rectangle("ground", 0, 0, Width, height, Ground), parts));
    }

    private static (XElement Group, double Height) Panel(CurvePanel panel)
    {
        var points = panel.Lines.SelectMany(line => line.Points).ToList();
        var scale = CurveScale.Around([.. points.SelectMany(point => new[] { point.Mean, point.Low, point.High })], panel.Top);
        int[] shots = [.. points.Select(point => point.Shots).Distinct().Order()];
        var room = Width - Left - Right;
        var slot = room / shots.Length;
        var columns = panel.Lines.All(line => TextWidth(line.Name) < (Width / 2) - 60) ? 2 : 1;
        var rows = (panel.Lines.Count + columns - 1) / columns;
        var height = Top + PlotHeight + AxisRoom + (rows * LegendRow) + Bottom;

        var group = new XElement(Svg + "g",
            new XAttribute("font-family", "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', Arial, sans-serif"),
            Text("ink title", 12, 22, Cut(panel.Title, Width - 24, 16), Ink, "start", 16, bold: true),
            Text("faint", 12, 42, Cut(panel.Scale, Width - 24, Letter), Faint, "start", Letter));
        foreach (var tick in scale.Ticks)
            group.Add(Line("grid", Left, Y(tick), Width - Right, Y(tick), Grid, 1),
                Text("faint", Left - 8, Y(tick) + 4.5, scale.Label(tick), Faint, "end", Letter));
        group.Add(Line("axis", Left, Top + PlotHeight, Width - Right, Top + PlotHeight, Faint, 1));
        var every = ((shots.Length - 1) / 12) + 1;
        foreach (var (place, count) in shots.Index().Where(one => one.Index % every == 0))
            group.Add(Line("axis", Middle(place), Top + PlotHeight, Middle(place), Top + PlotHeight + 4, Faint, 1),
                Text("faint", Middle(place), Top + PlotHeight + 19, $"{count}", Faint, "middle", Letter));
        group.Add(Text(
            "faint", Left + (room / 2), Top + PlotHeight + 38, "examples shown before the question (shots)", Faint, "middle", Letter));

        foreach (var (index, line) in panel.Lines.Index()) group.Add(Curve(index, line));
        foreach (var (index, line) in panel.Lines.Index())
        {
            var (x, y) = (12 + (index % columns * (Width / 2.0)), Top + PlotHeight + AxisRoom + (index / columns * LegendRow) + 12);
            group.Add(Path($"stroke c{index}", $"M{N(x)} {N(y)}h32", Colours[index], Dashes[index]), Marker(index, x + 16, y, null),
                Text("ink", x + 40, y + 4.5, Cut(line.Name, (Width / columns) - 60, Letter), Ink, "start", Letter));
        }

        return (group, height);

        double Y(double value) =>
            Top + (PlotHeight * (scale.High - Math.Clamp(value, scale.Low, scale.High)) / (scale.High - scale.Low));

        double Middle(int place) => Left + ((place + 0.5) * slot);

        // Lines stand a little beside each other, so that their whiskers do not cover each other.
        double X(int index, CurvePoint point)
        {
            var beside = panel.Lines.Index().Where(line => line.Item.Points.Any(other => other.Shots == point.Shots))
                .Select(line => line.Index).ToList();
            return Middle(Array.IndexOf(shots, point.Shots))
                + ((beside.IndexOf(index) - ((beside.Count - 1) / 2.0)) * Math.Min(shots.Length == 1 ? 28 : 8, 0.7 * slot / beside.Count));
        }

        XElement Curve(int index, CurveLine line)
        {
            var curve = new XElement(Svg + "g");
            if (line.Points.Count > 1)
                curve.Add(Path($"stroke c{index}", "M" + string.Join("L", line.Points.Select(point =>
                    $"{N(X(index, point))} {N(Y(point.Mean))}")), Colours[index], Dashes[index]));
            foreach (var point in line.Points)
            {
                var x = X(index, point);
                if (point.High > point.Low)
                    curve.Add(Path($"stroke c{index}", $"M{N(x)} {N(Y(point.Low))}V{N(Y(point.High))}"
                        + $"M{N(x - 3)} {N(Y(point.Low))}h6M{N(x - 3)} {N(Y(point.High))}h6", Colours[index], "", 1.2));
                curve.Add(Marker(index, x, Y(point.Mean), $"{line.Name}, {point.About}"));
            }

            return curve;
        }
    }

    // Filled and hollow circles, squares, triangles and diamonds.
    private static XElement Marker(int index, double x, double y, string? about)
    {
        var shape = (index % 4) switch
        {
            0 => $"M{N(x - 4.5)} {N(y)}a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z",
            1 => $"M{N(x - 4)} {N(y - 4)}h8v8h-8z",
            2 => $"M{N(x)} {N(y - 5)}l5 9h-10z",
            _ => $"M{N(x)} {N(y - 5.5)}l5.5 5.5l-5.5 5.5l-5.5 -5.5z",
        };
        var isHollow = index >= 4;
        return new XElement(Svg + "path", new XAttribute("class", isHollow ? $"stroke ground c{index}" : $"stroke fill c{index}"),
            new XAttribute("d", shape), new XAttribute("fill", isHollow ? Ground : Colours[index]),
            new XAttribute("stroke", Colours[index]), new XAttribute("stroke-width", "1.6"),
            about is null ? null : new XElement(Svg + "title", Clean(about)));
    }

    private static XElement Path(string kind, string path, string colour, string dashes, double width = 2) =>
        new(Svg + "path", new XAttribute("class", kind), new XAttribute("d", path), new XAttribute("fill", "none"),
            new XAttribute("stroke", colour), new XAttribute("stroke-width", N(width)),
            dashes.Length > 0 ? new XAttribute("stroke-dasharray", dashes) : null);

    private static XElement Line(string kind, double x1, double y1, double x2, double y2, string colour, double width) =>
        new(Svg + "line", new XAttribute("class", kind), new XAttribute("x1", N(x1)), new XAttribute("y1", N(y1)),
            new XAttribute("x2", N(x2)), new XAttribute("y2", N(y2)), new XAttribute("stroke", colour),
            new XAttribute("stroke-width", N(width)));

    private static XElement Rectangle(string kind, double x, double y, double width, double height, string colour) =>
        new(Svg + "rect", new XAttribute("class", kind), new XAttribute("x", N(x)), new XAttribute("y", N(y)),
            new XAttribute("width", N(width)), new XAttribute("height", N(height)), new XAttribute("fill", colour));

    private static XElement Text(
        string kind, double x, double y, string text, string colour, string anchor, double size, bool bold = false) =>
        new(Svg + "text", new XAttribute("class", kind), new XAttribute("x", N(x)), new XAttribute("y", N(y)),
            new XAttribute("fill", colour), new XAttribute("text-anchor", anchor), new XAttribute("font-size", N(size)),
            bold ? new XAttribute("font-weight", "600") : null, Clean(text));

    // The reader's font is not known here. Letters of Latin are 0.55 of their height wide on average, and those of Chinese as wide as high.
    private static double TextWidth(string text, double size = Letter) =>
        text.EnumerateRunes().Sum(rune => rune.Value < 0x1100 ? 0.55 : 1) * size;

    private static string Cut(string text, double room, double size)
    {
        if (TextWidth(text, size) <= room) return text;
        var (kept, width) = (0, TextWidth("…", size));
        foreach (var rune in text.EnumerateRunes())
        {
            width += TextWidth(rune.ToString(), size);
            if (width > room) break;
            kept += rune.Utf16SequenceLength;
        }

        return text[..kept] + "…";
    }

    private static string Clean(string text) => ReportWords.Printable(text);

    private static string N(double number) => Math.Round(number, 2).ToString(CultureInfo.InvariantCulture);
}
