using System.Text.Json;
using System.Text.Json.Nodes;

namespace Flamingo.Training.Loop;

/// <summary>
/// The metrics of a run as JSON lines, one for each step and each measurement, and pictures of them: losses, gates, and accuracy by task
/// and shots. A resumption drops the lines after its checkpoint, so that the file reads like that of a run that never stopped.
/// </summary>
public sealed class RunMetrics : IDisposable
{
    private static readonly string[] Drawn = ["losses", "gates", "accuracy"];

    private readonly string _file;
    private readonly StreamWriter _writer;
    private readonly Dictionary<(string Field, string Name), List<(long Step, double Value)>> _values = [];

    /// <param name="file">metrics.jsonl of the run.</param>
    /// <param name="step">Steps of the checkpoint that the run goes on from; null for a new run, which drops all lines.</param>
    public RunMetrics(string file, long? step)
    {
        _file = file;
        var rewritten = $"{file}.rewritten";
        using (var kept = new StreamWriter(rewritten))
            foreach (var text in File.Exists(file) ? File.ReadLines(file) : [])
                if (Read(text) is { } line && line["step"]!.GetValue<long>() <= step)
                {
                    Keep(line);
                    kept.WriteLine(text);
                }

        File.Move(rewritten, file, overwrite: true);
        _writer = new StreamWriter(file, append: true) { AutoFlush = true };
    }

    /// <summary>Adds a line; it has the field <c>step</c>.</summary>
    public void Add(JsonObject line)
    {
        Keep(line);
        _writer.WriteLine(line.ToJsonString());
    }

    /// <summary>Whether there is a measurement of a step.</summary>
    public bool IsMeasured(long step) =>
        _values.Any(series => series.Key.Field == "accuracy" && series.Value.Any(value => value.Step == step));

    /// <summary>Mean loss of the steps after some step.</summary>
    /// <param name="name">Name of the loss.</param>
    public double MeanLoss(string name, long after) => _values.GetValueOrDefault(("losses", name), [])
        .AsEnumerable().Reverse().TakeWhile(value => value.Step > after).Select(value => value.Value).DefaultIfEmpty().Average();

    /// <summary>Draws losses.png, gates.png and, where there were measurements, accuracy.png beside the file.</summary>
    public void Draw()
    {
        RunPictures.Losses(Picture("losses"), Series("losses"));
        RunPictures.Gates(Picture("gates"), Series("gates"));
        RunPictures.Accuracy(Picture("accuracy"), Series("accuracy"));
    }

    public void Dispose() => _writer.Dispose();

    // A line that was cut off by a kill is left out.
    private static JsonObject? Read(string line)
    {
        try
        {
            return JsonNode.Parse(line) as JsonObject is { } found && found["step"]?.GetValueKind() == JsonValueKind.Number ? found : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private void Keep(JsonObject line)
    {
        foreach (var field in Drawn)
            foreach (var (name, value) in line[field] as JsonObject ?? [])
            {
                if (!_values.TryGetValue((field, name), out var values)) _values[(field, name)] = values = [];
                values.Add((line["step"]!.GetValue<long>(), value!.GetValue<double>()));
            }
    }

    private string Picture(string name) => Path.Combine(Path.GetDirectoryName(_file)!, $"{name}.png");

    private IReadOnlyList<RunSeries> Series(string field) =>
        [.. _values.Where(one => one.Key.Field == field && one.Value.Count > 1).Select(one => new RunSeries(one.Key.Name, one.Value))];
}
