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
    /// How long each 256 KiB of a request may take to arrive, and each 256 KiB of an answer that is one message may take to be read. A
    /// slower request fails with DEADLINE_EXCEEDED, and a slower answer is cut off, so that a silent caller holds no memory.
    /// </summary>
    [Range(typeof(TimeSpan), "00:00:00.100", "01:00:00")]
    public TimeSpan TransferTimeout { get; set; } = TimeSpan.FromSeconds(10);
}
