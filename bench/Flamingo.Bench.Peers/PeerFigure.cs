using System.Text.Json;
using System.Text.Encodings.Web;

namespace Flamingo.Bench.Peers;

/// <summary>A line of the report, as <see cref="Measurement"/> writes it, but for a figure that may not be available.</summary>
/// <param name="Value">The value; null if this build cannot measure the figure, and then <paramref name="Against"/> says why.</param>
public sealed record PeerFigure(string Figure, double? Value, string Unit, string Against)
{
    private static readonly JsonSerializerOptions Json =
        new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public string ToJson() =>
        Value is { } value ? new Measurement(Figure, value, Unit, Against).ToJson() : JsonSerializer.Serialize(this, Json);
}
