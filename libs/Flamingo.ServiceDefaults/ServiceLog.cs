using Microsoft.Extensions.Logging;

namespace Flamingo.ServiceDefaults;

/// <summary>What a process tells an operator of its own life; events 1000 to 1099.</summary>
internal static partial class ServiceLog
{
    [LoggerMessage(1001, LogLevel.Information, "{Program} {Version} serves gRPC (HTTP/2, without TLS) on {Endpoints}.")]
    public static partial void Serving(this ILogger logger, string program, string version, string endpoints);

    [LoggerMessage(1002, LogLevel.Information, "Metrics and traces go to {Collector}.")]
    public static partial void TelemetryExported(this ILogger logger, string collector);

    [LoggerMessage(1003, LogLevel.Information,
        "Stopping: waiting for {Calls}, {Seconds} s at most. Ctrl-C again stops at once.")]
    public static partial void Draining(this ILogger logger, string calls, double seconds);

    [LoggerMessage(1004, LogLevel.Information, "Stopped. No call is served any more.")]
    public static partial void Stopped(this ILogger logger);
}
