using System.Globalization;
using System.Text.Json.Nodes;

namespace Flamingo.Training.Loop;

/// <summary>
/// Steps as lines of metrics, and means of the last steps as lines for a person, with the time that remains. A line of metrics has nothing
/// but what its step did, so that it is the same after a resumption.
/// </summary>
/// <param name="options">Steps and time of the run.</param>
/// <param name="start">Where this process began.</param>
/// <param name="streams">Names of the streams.</param>
/// <param name="metrics">Takes the lines of metrics.</param>
/// <param name="print">Takes the lines for a person.</param>
public sealed class RunMeter(
    TrainingOptions options, RunState start, IReadOnlyList<string> streams, RunMetrics metrics, Action<string> print)
{
    private const string Teacher = "text teacher";

    // Streams of one name get numbers.
    private readonly string[] _names = [.. streams.Select((name, index) =>
        streams.Take(index).Count(other => other == name) is var before and > 0 ? $"{name} {before + 1}" : name)];

    private TimeSpan _before = start.Elapsed;
    private long _sequences, _tokens;

    public void Add(StepReport step)
    {
        (_sequences, _tokens) = (_sequences + step.Sequences, _tokens + step.Tokens);
        var reports = step.Step % options.ReportEvery == 0 || step.Step == options.Steps;
        var seconds = Math.Max((step.Elapsed - _before).TotalSeconds, 1e-9);
        var line = new JsonObject
        {
            ["step"] = step.Step, ["seconds"] = Math.Round(step.Elapsed.TotalSeconds, 2),
            ["losses"] = new JsonObject(_names.Select((name, index) => KeyValuePair.Create(name, (JsonNode?)step.Losses[index]))),
            ["norm"] = step.Norm, ["rate"] = step.Rate, ["sequences"] = step.Sequences, ["tokens"] = step.Tokens,
        };
        if (options.TeacherWeight > 0) line["losses"]![Teacher] = step.Teacher;
        if (reports)
        {
            (line["sequences_per_second"], line["tokens_per_second"]) =
                (Math.Round(_sequences / seconds, 2), Math.Round(_tokens / seconds, 1));
            line["gates"] = new JsonObject(step.Gates.Select((gate, index) => KeyValuePair.Create($"block {index}", (JsonNode?)gate)));
        }

        metrics.Add(line);
        if (!reports) return;
        print(Line(step, _sequences / seconds, _tokens / seconds));
        (_before, _sequences, _tokens) = (step.Elapsed, 0, 0);
    }

    private string Line(StepReport step, double sequences, double tokens)
    {
        var after = (step.Step - 1) / options.ReportEvery * options.ReportEvery;
        var remaining = Remaining(step);
        string Mean(string name, string format) => metrics.MeanLoss(name, after).ToString(format, CultureInfo.InvariantCulture);
        return string.Create(CultureInfo.InvariantCulture, $"step {step.Step}/{options.Steps}  loss "
            + $"{string.Join(" ", _names.Select(name => Mean(name, "F4")))}"
            + $"{(options.TeacherWeight > 0 ? $"  teacher {Mean(Teacher, "F3")}" : "")}  norm {step.Norm:F2}  rate {step.Rate:G3}  "
            + $"{sequences:F0} sequences/s  {tokens:F0} tokens/s  "
            + $"gates {string.Join(" ", step.Gates.Select(gate => gate.ToString("F2", CultureInfo.InvariantCulture)))}  "
            + $"remaining {(int)remaining.TotalHours}:{remaining:mm\\:ss}");
    }

    private TimeSpan Remaining(StepReport step)
    {
        var perStep = (step.Elapsed - start.Elapsed) / Math.Max(1, step.Step - start.Step);
        var bySteps = perStep * (options.Steps - step.Step);
        return options.Limit - step.Elapsed is { } byTime && byTime < bySteps ? (byTime > TimeSpan.Zero ? byTime : TimeSpan.Zero) : bySteps;
    }
}
