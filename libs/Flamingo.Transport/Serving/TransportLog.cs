using Microsoft.Extensions.Logging;

namespace Flamingo.Transport.Serving;

/// <summary>The events of the server side of gRPC calls.</summary>
internal static partial class TransportLog
{
    [LoggerMessage(1100, LogLevel.Error, "{Method} failed unexpectedly.")]
    public static partial void FailedUnexpectedly(this ILogger logger, Exception exception, string method);

    [LoggerMessage(1101, LogLevel.Information,
        "The caller of {Method} did not read the {Bytes} bytes of its answer within {Seconds} s (Requests:TransferTimeout for each "
        + "256 KiB). The call was cut off.")]
    public static partial void AnswerNotRead(this ILogger logger, string method, long bytes, double seconds);

    [LoggerMessage(1102, LogLevel.Information,
        "Requests may hold at most {Bytes} bytes together, and one request at most {Largest} bytes. Each 256 KiB must arrive within "
        + "{Timeout} (section Requests).")]
    public static partial void Limits(this ILogger logger, long bytes, long largest, TimeSpan timeout);
}
