using Microsoft.Extensions.Logging;

namespace Flamingo.Gateway.Doors;

/// <summary>The events of the HTTP port. Bodies are never logged.</summary>
internal static partial class DoorsLog
{
    [LoggerMessage(6400, LogLevel.Error, "{Method} {Path} failed unexpectedly (x-request-id {RequestId}).")]
    public static partial void RequestFailed(this ILogger logger, Exception exception, string method, string path, string requestId);
}
