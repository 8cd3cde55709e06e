using Microsoft.Extensions.Logging;
using StackExchange.Redis;

namespace Flamingo.Gateway.Redis;

/// <summary>Log messages about the connection to Redis and the data stored there.</summary>
internal static partial class RedisLog
{
    [LoggerMessage(1, LogLevel.Information, "Redis is off (Redis:ConnectionString is empty): latents and support sets are held only in the "
        + "memory of this process.")]
    public static partial void Off(ILogger logger);

    [LoggerMessage(2, LogLevel.Information, "Redis at {Servers} is connected.")]
    public static partial void Connected(ILogger logger, string servers);

    [LoggerMessage(3, LogLevel.Warning, "Redis at {Servers} does not answer. Until it does, latents are held only in memory, "
        + "and support sets can be neither stored nor used.")]
    public static partial void Absent(ILogger logger, string servers);

    [LoggerMessage(4, LogLevel.Warning,
        "The connection to Redis at {Servers} is lost: {Failure}. The gateway tries to reconnect every second.")]
    public static partial void Lost(ILogger logger, string servers, ConnectionFailureType failure);

    [LoggerMessage(5, LogLevel.Information, "Redis at {Servers} is connected again.")]
    public static partial void Restored(ILogger logger, string servers);

    [LoggerMessage(6, LogLevel.Warning, "A Redis {What} failed, and the request continues without it: {Reason}")]
    public static partial void Failed(ILogger logger, string what, string reason);

    [LoggerMessage(7, LogLevel.Warning, "Redis failed repeatedly and is skipped for {Duration}.")]
    public static partial void Skipped(ILogger logger, TimeSpan duration);

    [LoggerMessage(8, LogLevel.Information, "Redis answers and is used again.")]
    public static partial void UsedAgain(ILogger logger);

    [LoggerMessage(9, LogLevel.Warning, "A call to Redis for support sets failed: {Reason}")]
    public static partial void SupportSetsFailed(ILogger logger, string reason);
}
