using System.Globalization;
using System.Text.Json.Nodes;

namespace Flamingo.Training.Loop;

/// <summary>Means of the last steps as lines of metrics and as lines for a person, with the time that remains.</summary>
/// <param name="options">Steps and time of the run.</param>
/// <param name="start">Where this process began.</param>
/// <param name="names">Names of the streams.</param>
/// <param name="metrics">Takes the lines of metrics.</param>
/// <param name="print">Takes the lines for a person.</param>
public sealed class RunMeter(
    TrainingOptions options, RunState start, IReadOnlyList<string> names, RunMetrics metrics, Action<string> print)
{
    private readonly List<StepReport> _steps = [];
    private TimeSpan _before = start.Elapsed;

    public void Add(StepReport step)
    {
        _steps.Add(step);
        if (step.Step % options.ReportEvery != 0 && step.Step != options.Steps) return;
        var seconds = Math.Max((step.Elapsed - _before).TotalSeconds, 1e-9);
        var (sequences, tokens) = (_steps.Sum(one => one.Sequences) / seconds, _steps.Sum(one => one.Tokens) / seconds);
        var losses = names.Select((name, index) => (Name: name, Loss: _steps.Average(one => one.Losses[index]))).ToList();
        var teacher = _steps.Average(one => one.Teacher);
        var line = new JsonObject
        {
            ["step"] = step.Step, ["seconds"] = Math.Round(step.Elapsed.TotalSeconds, 2),
            ["losses"] = new JsonObject(losses.GroupBy(one => one.Name).SelectMany(same => same.Select((one, index) =>
                KeyValuePair.Create(index == 0 ? one.Name : $"{one.Name} {index + 1}", (JsonNode?)one.Loss)))),
            ["norm"] = step.Norm, ["rate"] = step.Rate,
            ["sequences_per_second"] = Math.Round(sequences, 2), ["tokens_per_second"] = Math.Round(tokens, 1),
            ["gates"] = new JsonObject(step.Gates.Select((gate, index) => KeyValuePair.Create($"block {index}", (JsonNode?)gate))),
        };
        if (options.TeacherWeight > 0) line["losses"]!["text teacher"] = teacher;
        metrics.Add(line);
        print(string.Create(CultureInfo.InvariantCulture, $"step {step.Step}/{options.Steps}  loss "
            + $"{string.Join(" ", losses.Select(one => one.Loss.ToString("F4", CultureInfo.InvariantCulture)))}"
            + $"{(options.TeacherWeight > 0 ? $"  teacher {teacher:F3}" : "")}  norm {step.Norm:F2}  rate {step.Rate:G3}  "
            + $"{sequences:F0} sequences/s  {tokens:F0} tokens/s  gates {string.Join(" ", step.Gates.Select(gate => gate.ToString("F2", CultureInfo.InvariantCulture)))}  "
            + $"remaining {Remaining(step):hh\\:mm\\:ss}"));
        _before = step.Elapsed;
        _steps.Clear();
    }

    private TimeSpan Remaining(StepReport step)
    {
        var perStep = (step.Elapsed - start.Elapsed) / Math.Max(1, step.Step - start.Step);
        var bySteps = perStep * (options.Steps - step.Step);
        return options.Limit - step.Elapsed is { } byTime && byTime < bySteps ? (byTime > TimeSpan.Zero ? byTime : TimeSpan.Zero) : bySteps;
    }
}
