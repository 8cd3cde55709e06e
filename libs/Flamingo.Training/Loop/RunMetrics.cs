using System.Text.Json;
using System.Text.Json.Nodes;
using ScottPlot;

namespace Flamingo.Training.Loop;

/// <summary>
/// The metrics of a run as JSON lines, and pictures of them: losses, gates, and accuracy by task and shots. A resumption drops the lines
/// after its checkpoint, so that the file reads like that of a run that never stopped.
/// </summary>
public sealed class RunMetrics : IDisposable
{
    private const int Width = 900, Height = 500;

    private readonly string _file;
    private readonly StreamWriter _writer;
    private readonly List<JsonObject> _lines = [];

    /// <param name="file">metrics.jsonl of the run.</param>
    /// <param name="step">Steps of the checkpoint that the run goes on from.</param>
    public RunMetrics(string file, long step)
    {
        _file = file;
        if (File.Exists(file))
            foreach (var line in File.ReadLines(file))
                if (Read(line) is { } known && known["step"]!.GetValue<long>() <= step) _lines.Add(known);
        var rewritten = $"{file}.rewritten";
        File.WriteAllLines(rewritten, _lines.Select(line => line.ToJsonString()));
        File.Move(rewritten, file, overwrite: true);
        _writer = new StreamWriter(file, append: true) { AutoFlush = true };
    }

    /// <summary>Adds a line; it has the field <c>step</c>.</summary>
    public void Add(JsonObject line)
    {
        _lines.Add(line);
        _writer.WriteLine(line.ToJsonString());
    }

    /// <summary>Draws losses.png, gates.png and, where there were measurements, accuracy.png beside the file.</summary>
    public void Draw()
    {
        var steps = _lines.Where(line => line.ContainsKey("losses")).ToList();
        if (steps.Count > 1)
        {
            Curves("losses.png", "loss", Series(steps, "losses"), log: true);
            Curves("gates.png", "tanh of the attention gates", Series(steps, "gates"), log: false);
        }

        var measured = _lines.Where(line => line.ContainsKey("accuracy")).ToList();
        if (measured.Count > 1) Curves("accuracy.png", "share of right answers", Series(measured, "accuracy"), log: false);
    }

    public void Dispose() => _writer.Dispose();

    // A line that was cut off by a kill is left out.
    private static JsonObject? Read(string line)
    {
        try
        {
            return JsonNode.Parse(line) as JsonObject is { } found && found.ContainsKey("step") ? found : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static IEnumerable<(string Name, double[] Steps, double[] Values)> Series(List<JsonObject> lines, string field) =>
        from name in lines.SelectMany(line => line[field]!.AsObject().Select(one => one.Key)).Distinct()
        let known = lines.Where(line => line[field]!.AsObject().ContainsKey(name)).ToList()
        select (name, known.Select(line => (double)line["step"]!.GetValue<long>()).ToArray(),
            known.Select(line => line[field]![name]!.GetValue<double>()).ToArray());

    private void Curves(string name, string what, IEnumerable<(string Name, double[] Steps, double[] Values)> series, bool log)
    {
        using var plot = new Plot();
        foreach (var (label, steps, values) in series)
        {
            var line = plot.Add.ScatterLine(steps, log ? [.. values.Select(value => Math.Log10(Math.Max(value, 1e-6)))] : values);
            (line.LegendText, line.LineWidth) = (label, 2);
        }

        plot.XLabel("step");
        plot.YLabel(log ? $"log10 of {what}" : what);
        plot.ShowLegend(Edge.Right);
        var unfinished = Path.Combine(Path.GetDirectoryName(_file)!, $"unfinished-{name}");
        plot.SavePng(unfinished, Width, Height);
        File.Move(unfinished, Path.Combine(Path.GetDirectoryName(_file)!, name), overwrite: true);
    }
}
