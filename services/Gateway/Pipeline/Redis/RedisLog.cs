using Microsoft.Extensions.Logging;
using StackExchange.Redis;

namespace Flamingo.Gateway.Redis;

/// <summary>Log messages about the connection to Redis and the data stored there.</summary>
internal static partial class RedisLog
{
    [LoggerMessage(6200, LogLevel.Information,
        "Redis is off (Redis:ConnectionString is empty): latents and support sets are held only in the "
        + "memory of this process.")]
    public static partial void Off(ILogger logger);

    [LoggerMessage(6201, LogLevel.Information, "Redis at {Servers} is connected.")]
    public static partial void Connected(ILogger logger, string servers);

    [LoggerMessage(6202, LogLevel.Warning, "Redis at {Servers} does not answer. Until it does, latents are held only in memory, "
        + "and support sets can be neither stored nor used.")]
    public static partial void Absent(ILogger logger, string servers);

    [LoggerMessage(6203, LogLevel.Warning,
        "The connection to Redis at {Servers} is lost: {Failure}. The gateway tries to reconnect every second.")]
    public static partial void Lost(ILogger logger, string servers, ConnectionFailureType failure);

    [LoggerMessage(6204, LogLevel.Information, "Redis at {Servers} is connected again.")]
    public static partial void Restored(ILogger logger, string servers);

    [LoggerMessage(6205, LogLevel.Warning, "A Redis {What} failed, and the request continues without it: {Reason}")]
    public static partial void Failed(ILogger logger, string what, string reason);

    [LoggerMessage(6206, LogLevel.Warning, "Redis failed repeatedly and is skipped for {Duration}.")]
    public static partial void Skipped(ILogger logger, TimeSpan duration);

    [LoggerMessage(6207, LogLevel.Information, "Redis answers and is used again.")]
    public static partial void UsedAgain(ILogger logger);

    [LoggerMessage(6208, LogLevel.Warning, "A call to Redis for support sets failed: {Reason}")]
    public static partial void SupportSetsFailed(ILogger logger, string reason);
}
