using Microsoft.Extensions.Logging;
using StackExchange.Redis;

namespace Flamingo.Gateway.Redis;

/// <summary>What operators read about the connection to Redis, and about what is kept there.</summary>
internal static partial class RedisLog
{
    [LoggerMessage(1, LogLevel.Information, "Redis is off (Redis:ConnectionString is empty): latents and support sets are held in the "
        + "memory of this process alone.")]
    public static partial void Off(ILogger logger);

    [LoggerMessage(2, LogLevel.Information, "Redis at {Servers} is connected.")]
    public static partial void Connected(ILogger logger, string servers);

    [LoggerMessage(3, LogLevel.Warning, "Redis at {Servers} does not answer. Until it does, latents are held in memory alone, "
        + "and support sets can neither be put nor used.")]
    public static partial void Absent(ILogger logger, string servers);

    [LoggerMessage(4, LogLevel.Warning, "The connection to Redis at {Servers} is lost: {Failure}. It is tried again every second.")]
    public static partial void Lost(ILogger logger, string servers, ConnectionFailureType failure);

    [LoggerMessage(5, LogLevel.Information, "Redis at {Servers} is connected again.")]
    public static partial void Restored(ILogger logger, string servers);

    [LoggerMessage(6, LogLevel.Warning, "A Redis {What} failed, and the request goes on without it: {Reason}")]
    public static partial void Failed(ILogger logger, string what, string reason);

    [LoggerMessage(7, LogLevel.Warning, "Redis failed repeatedly and is skipped for {Duration}.")]
    public static partial void Skipped(ILogger logger, TimeSpan duration);

    [LoggerMessage(8, LogLevel.Information, "Redis answers and is used again.")]
    public static partial void UsedAgain(ILogger logger);

    [LoggerMessage(9, LogLevel.Warning, "Redis, which keeps the support sets, failed: {Reason}")]
    public static partial void SupportSetsFailed(ILogger logger, string reason);
}
