using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Flamingo.GpuCheck;

/// <summary>One measured figure, a line of the report.</summary>
/// <param name="Unit">share, ratio, answers, tokens/s, ms, GB/s, TFLOP/s, GiB or relative error.</param>
/// <param name="Against">A description of the reference value or the setup.</param>
/// <param name="Limit">The largest value that passes; null for a figure that always passes.</param>
public sealed record CheckLine(string Check, double Value, string Unit, string Against, double? Limit = null)
{
    public bool Passed => double.IsFinite(Value) && (Limit is not { } limit || Value <= limit);
}

/// <summary>Writes each figure at once as a JSON line, and determines the verdict.</summary>
public sealed class Report(TextWriter output, TimeProvider time, TimeSpan limit)
{
    private static readonly JsonSerializerOptions Json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    };

    private readonly long _started = time.GetTimestamp();
    private readonly List<string> _failed = [], _leftOut = [];
    private int _passed;

    /// <summary>Writes a fact about the machine or the run.</summary>
    public void Fact(string name, string value) => output.WriteLine(JsonSerializer.Serialize(new { fact = name, value }, Json));

    public void Add(CheckLine line)
    {
        if (line.Passed) _passed++;
        else _failed.Add(line.Check);
        var value = double.IsFinite(line.Value)
            ? double.Parse(line.Value.ToString("G4", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture)
            : line.Value;
        output.WriteLine(JsonSerializer.Serialize(line with { Value = value }, Json));
    }

    /// <summary>
    /// Runs a part of the check unless its time limit has passed. An exception counts as a failure of the part, and the check continues.
    /// </summary>
    public async Task PartAsync(string name, Func<Task> run, CancellationToken cancellation)
    {
        if (time.GetElapsedTime(_started) > limit)
        {
            _leftOut.Add(name);
            return;
        }

        var begun = time.GetTimestamp();
        try
        {
            await run();
        }
        catch (Exception exception) when (!cancellation.IsCancellationRequested)
        {
            _failed.Add(name);
            output.WriteLine(JsonSerializer.Serialize(new
            {
                check = name,
                failed = exception.GetType().Name,
                message = string.Join(' ', exception.Message.Split('\n').Take(6)),
                at = exception.StackTrace?.Split('\n').Take(8),
            }, Json));
        }

        Fact($"seconds of {name}", time.GetElapsedTime(begun).TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture));
    }

    /// <returns>The exit code.</returns>
    public int Verdict()
    {
        var verdict = _failed.Count > 0 ? "failed" : _leftOut.Count > 0 || _passed == 0 ? "incomplete" : "passed";
        output.WriteLine(JsonSerializer.Serialize(new
        {
            verdict,
            passed = _passed,
            failed = _failed,
            left_out = _leftOut,
            minutes = Math.Round(time.GetElapsedTime(_started).TotalMinutes, 1),
        }, Json));
        return verdict == "passed" ? 0 : 1;
    }
}
