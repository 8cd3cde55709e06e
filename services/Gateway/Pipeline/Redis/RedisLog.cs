using Microsoft.Extensions.Logging;
using StackExchange.Redis;

namespace Flamingo.Gateway.Redis;

/// <summary>What operators read about the connection to Redis, and about what is kept there.</summary>
internal static partial class RedisLog
{
    [LoggerMessage(6200, LogLevel.Information, "Redis is off (Redis:ConnectionString is empty): latents and support sets are held in the "
        + "memory of this process alone.")]
    public static partial void Off(ILogger logger);

    [LoggerMessage(6201, LogLevel.Information, "Redis at {Servers} is connected.")]
    public static partial void Connected(ILogger logger, string servers);

    [LoggerMessage(6202, LogLevel.Warning, "Redis at {Servers} does not answer. Until it does, latents are held in memory alone, "
        + "and support sets can neither be put nor used.")]
    public static partial void Absent(ILogger logger, string servers);

    [LoggerMessage(6203, LogLevel.Warning, "The connection to Redis at {Servers} is lost: {Failure}. It is tried again every second.")]
    public static partial void Lost(ILogger logger, string servers, ConnectionFailureType failure);

    [LoggerMessage(6204, LogLevel.Information, "Redis at {Servers} is connected again.")]
    public static partial void Restored(ILogger logger, string servers);

    [LoggerMessage(6205, LogLevel.Warning, "A Redis {What} failed, and the request goes on without it: {Reason}")]
    public static partial void Failed(ILogger logger, string what, string reason);

    [LoggerMessage(6206, LogLevel.Warning, "Redis failed repeatedly and is skipped for {Duration}.")]
    public static partial void Skipped(ILogger logger, TimeSpan duration);

    [LoggerMessage(6207, LogLevel.Information, "Redis answers and is used again.")]
    public static partial void UsedAgain(ILogger logger);

    [LoggerMessage(6208, LogLevel.Warning, "Redis, which keeps the support sets, failed: {Reason}")]
    public static partial void SupportSetsFailed(ILogger logger, string reason);
}
