using System.ComponentModel.DataAnnotations;

namespace Flamingo.Transport.Serving.Arrival;

/// <summary>Limits of the requests that a process receives; section <c>Requests</c>.</summary>
public sealed class RequestOptions
{
    public const string Section = "Requests";

    /// <summary>
    /// Most bytes of all requests that have arrived and are not answered yet. While a request arrives it counts twice, because it is held
    /// as it was sent and as a message; then it counts once. In a gateway, one tenant may take half. The largest request is half of what
    /// one tenant may take.
    /// </summary>
    [Range(16L << 20, long.MaxValue)]
    public long MaxInFlightBytes { get; set; } = 1L << 30;

    /// <summary>
    /// How long a request may take for each 256 KiB of its bytes to arrive. A slower request fails with DEADLINE_EXCEEDED, so that a
    /// silent caller does not keep its share of <see cref="MaxInFlightBytes"/>.
    /// </summary>
    [Range(typeof(TimeSpan), "00:00:00.100", "01:00:00")]
    public TimeSpan UploadTimeout { get; set; } = TimeSpan.FromSeconds(10);
}
