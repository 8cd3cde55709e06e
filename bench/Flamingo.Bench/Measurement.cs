using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Flamingo.Bench;

/// <summary>One measured figure, a line of the report.</summary>
/// <param name="Figure">The figure's name in the catalogue.</param>
/// <param name="Unit">ratio, share, count, s, ms, us, tokens/s, GB, GiB, GB/s or GFLOP/s.</param>
/// <param name="Against">A description of the reference value or the setup.</param>
public sealed record Measurement(string Figure, double Value, string Unit, string Against)
{
    private static readonly JsonSerializerOptions Json =
        new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>
    /// Formats <c>{"figure", "value", "unit", "against"}</c> on one line, with five significant digits, because timings are not more exact.
    /// </summary>
    /// <exception cref="InvalidOperationException">The value is not finite, which is a defect of the figure.</exception>
    public string ToJson() => double.IsFinite(Value)
        ? JsonSerializer.Serialize(this with {
            Value = double.Parse(Value.ToString("G5", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture) }, Json)
        : throw new InvalidOperationException($"{Figure} is {Value}.");
}
