using Microsoft.Extensions.Logging;

namespace Flamingo.Gateway.Operations;

/// <summary>What operators read about the latent cache.</summary>
internal static partial class LatentCacheLog
{
    [LoggerMessage(6100, LogLevel.Information, "Latents are held in memory up to {Bytes} bytes (Gateway:MemoryCacheBytes).")]
    public static partial void Started(ILogger logger, long bytes);

    [LoggerMessage(6101, LogLevel.Warning, "Redis holds a value under {Key} that does not read back. It counts as a miss and is written "
        + "again.")]
    public static partial void Corrupt(ILogger logger, string key);

    [LoggerMessage(6102, LogLevel.Warning, "The lease on picture {Key} was lost before its latents were written to Redis. They are not "
        + "written; whoever holds the lease now writes its own.")]
    public static partial void LeaseLost(ILogger logger, string key);

    [LoggerMessage(6103, LogLevel.Warning, "{Pictures} pictures were waited for during {Waited}, the longest time (Redis:LeaseWait), and "
        + "another gateway has not encoded them. This one encodes them now.")]
    public static partial void WaitedInVain(ILogger logger, int pictures, TimeSpan waited);

    [LoggerMessage(6104, LogLevel.Warning, "{Values} latents were not written to Redis, because too many others still wait to be written.")]
    public static partial void WritesLeftOut(ILogger logger, int values);

    [LoggerMessage(6105, LogLevel.Warning, "Latents came from vision weights {Vision} and resampler weights {Resampler}, which the stages did "
        + "not describe. They serve this request alone, and the stages are asked for their descriptions again.")]
    public static partial void MadeByOtherWeights(ILogger logger, string vision, string resampler);

    [LoggerMessage(6106, LogLevel.Information, "The latent cache was cleared: {RedisEntries} entries of Redis, {MemoryEntries} of memory.")]
    public static partial void Cleared(ILogger logger, long redisEntries, long memoryEntries);

    [LoggerMessage(6107, LogLevel.Information, "A gateway has cleared the latent cache of all: {MemoryEntries} entries left this memory.")]
    public static partial void ClearedByMessage(ILogger logger, long memoryEntries);
}
