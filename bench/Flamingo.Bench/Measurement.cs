using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Flamingo.Bench;

/// <summary>One line of the report.</summary>
/// <param name="Figure">Its name in the catalogue.</param>
/// <param name="Unit">ratio, share, count, s, ms, us, tokens/s, GB, GiB, GB/s or GFLOP/s.</param>
/// <param name="Against">What the value is relative to, in words.</param>
public sealed record Measurement(string Figure, double Value, string Unit, string Against)
{
    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary><c>{"figure", "value", "unit", "against"}</c> on one line; five significant digits, since no timing has more.</summary>
    /// <exception cref="InvalidOperationException">The value is not finite, which is a defect of the figure.</exception>
    public string ToJson() => double.IsFinite(Value)
        ? JsonSerializer.Serialize(this with { Value = double.Parse(Value.ToString("G5", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture) }, Json)
        : throw new InvalidOperationException($"{Figure} is {Value}.");
}
