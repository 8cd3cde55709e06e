using Microsoft.Extensions.Logging;

namespace Flamingo.Gateway.Operations;

/// <summary>Log messages of the latent cache.</summary>
internal static partial class LatentCacheLog
{
    [LoggerMessage(6100, LogLevel.Information, "Latents are held in memory up to {Bytes} bytes (Gateway:MemoryCacheBytes).")]
    public static partial void Started(ILogger logger, long bytes);

    [LoggerMessage(6101, LogLevel.Warning, "The value under {Key} in Redis is damaged, or sealed with another Redis:IntegrityKey. It "
        + "counts as a miss and is written again.")]
    public static partial void Corrupt(ILogger logger, string key);

    [LoggerMessage(6102, LogLevel.Warning,
        "The lease on picture {Key} was lost before its latents were written to Redis. This gateway does not "
        + "write them; the new owner of the lease writes its own.")]
    public static partial void LeaseLost(ILogger logger, string key);

    [LoggerMessage(6103, LogLevel.Warning, "Another gateway has not encoded {Pictures} pictures within {Waited} (Redis:LeaseWait). "
        + "This gateway encodes them now.")]
    public static partial void WaitedInVain(ILogger logger, int pictures, TimeSpan waited);

    [LoggerMessage(6104, LogLevel.Warning, "{Values} latents were not written to Redis, because too many writes are pending.")]
    public static partial void WritesLeftOut(ILogger logger, int values);

    [LoggerMessage(6105, LogLevel.Warning,
        "Latents came from vision weights {Vision} and resampler weights {Resampler}, which the stages did "
        + "not describe. The gateway uses them only for this request and reads the stages' descriptions again.")]
    public static partial void MadeByOtherWeights(ILogger logger, string vision, string resampler);

    [LoggerMessage(6106, LogLevel.Information, "The latent cache was cleared: {RedisEntries} entries of Redis, {MemoryEntries} of memory.")]
    public static partial void Cleared(ILogger logger, long redisEntries, long memoryEntries);

    [LoggerMessage(6107, LogLevel.Information,
        "A gateway cleared the latent cache of all gateways; {MemoryEntries} entries were removed from the memory of this one.")]
    public static partial void ClearedByMessage(ILogger logger, long memoryEntries);
}
