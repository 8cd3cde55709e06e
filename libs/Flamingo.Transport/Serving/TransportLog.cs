using Microsoft.Extensions.Logging;

namespace Flamingo.Transport.Serving;

/// <summary>The events of the server side of gRPC calls.</summary>
internal static partial class TransportLog
{
    [LoggerMessage(1100, LogLevel.Error, "{Method} failed unexpectedly.")]
    public static partial void FailedUnexpectedly(this ILogger logger, Exception exception, string method);
}
