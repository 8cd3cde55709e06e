namespace Flamingo.Abstractions;

/// <summary>For operators: the latent cache of one gateway, all tenants together.</summary>
public interface ILatentCacheOperations
{
    /// <summary>Counts since the gateway started.</summary>
    Task<CacheStatistics> GetStatisticsAsync(CancellationToken cancellation = default);

    /// <summary>Empties Redis of this installation's latents and the memory of every gateway on it.</summary>
    /// <exception cref="FlamingoException">Unavailable: Redis is on and does not answer; memory has been emptied.</exception>
    Task<ClearedCache> ClearAsync(CancellationToken cancellation = default);
}

/// <param name="Evictions">Entries that left for others.</param>
/// <param name="Rejections">Entries that were not let in for those held.</param>
public sealed record MemoryTierStatistics(long Entries, long Bytes, long MaxBytes, long Hits, long Misses, long Evictions, long Rejections);

/// <param name="Failures">Lookups and writes that failed or took longer than their budget.</param>
/// <param name="Corrupt">Values that did not read back, counted as misses.</param>
public sealed record RedisTierStatistics(
    bool Reachable, long Hits, long Misses, long Failures, long Corrupt, long BytesRead, long BytesWritten);

/// <param name="Redis">Null where it is off.</param>
/// <param name="Encoded">Pictures sent to the stages.</param>
/// <param name="Waits">Pictures that waited for another request's encoding in this gateway.</param>
/// <param name="SharedWaits">Those that waited for another gateway's.</param>
/// <param name="Saved">What encoding the found ones had cost.</param>
public sealed record CacheStatistics(
    MemoryTierStatistics Memory, RedisTierStatistics? Redis, long Encoded, long Waits, long SharedWaits, TimeSpan Saved);

public sealed record ClearedCache(long RedisEntries, long MemoryEntries);
