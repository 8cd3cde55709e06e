using Microsoft.Extensions.Logging;

namespace Flamingo.ServiceDefaults;

/// <summary>Log messages about the start and the end of a service process; events 1000 to 1099.</summary>
internal static partial class ServiceLog
{
    [LoggerMessage(1001, LogLevel.Information, "{Program} {Version} serves gRPC (HTTP/2, {Tls}) on {Endpoints}.")]
    public static partial void Serving(this ILogger logger, string program, string version, string tls, string endpoints);

    [LoggerMessage(1002, LogLevel.Information, "Metrics and traces are exported to {Collector}.")]
    public static partial void TelemetryExported(this ILogger logger, string collector);

    [LoggerMessage(1003, LogLevel.Information,
        "The service is stopping and waits at most {Seconds} s for {Calls}. Press Ctrl-C again to stop at once.")]
    public static partial void Draining(this ILogger logger, string calls, double seconds);

    [LoggerMessage(1004, LogLevel.Information, "The service has stopped.")]
    public static partial void Stopped(this ILogger logger);

    [LoggerMessage(1005, LogLevel.Warning, "The service is not ready: {Reason}")]
    public static partial void NotReady(this ILogger logger, string reason);

    [LoggerMessage(1006, LogLevel.Information, "The service is ready again.")]
    public static partial void ReadyAgain(this ILogger logger);

    [LoggerMessage(1007, LogLevel.Error, "The process is not live (Health:LiveTimeout): {Reason}")]
    public static partial void NotLive(this ILogger logger, string reason);

    [LoggerMessage(1008, LogLevel.Warning, "The process is live again.")]
    public static partial void LiveAgain(this ILogger logger);

    [LoggerMessage(1009, LogLevel.Critical, "{Worker} has ended with an error, so the process stops: {Reason}")]
    public static partial void WorkerEnded(this ILogger logger, string worker, string reason);

    [LoggerMessage(1010, LogLevel.Critical, "The process ends with exit code {Code} (Health:ExitTimeout). {Reason}")]
    public static partial void ProcessEnds(this ILogger logger, string reason, int code);

    [LoggerMessage(1011, LogLevel.Information, "A caller of {Method} took nothing of its answer for {Time}. Its stream was reset.")]
    public static partial void AnswerUnread(this ILogger logger, string method, TimeSpan time);

    [LoggerMessage(1020, LogLevel.Information, "The certificate of this service is {Certificate}.")]
    public static partial void CertificateRead(this ILogger logger, string certificate);

    [LoggerMessage(1021, LogLevel.Information, "The authorities of callers' certificates were read again: {Count}.")]
    public static partial void AuthoritiesRead(this ILogger logger, int count);

    [LoggerMessage(1022, LogLevel.Warning,
        "A file of TLS has changed and cannot be used, and what was read before still holds. {Problem}")]
    public static partial void CertificateDamaged(this ILogger logger, string problem);

    [LoggerMessage(1023, LogLevel.Warning, "Connections that TLS refused since the last such message: {Count}. The last one: {Reason}.")]
    public static partial void CallersRefused(this ILogger logger, long count, string reason);
}
