namespace Flamingo.Abstractions;

/// <summary>Operations for operators on the latent cache of one gateway, over all tenants.</summary>
public interface ILatentCacheOperations
{
    /// <summary>Counts since the gateway started.</summary>
    Task<CacheStatistics> GetStatisticsAsync(CancellationToken cancellation = default);

    /// <summary>Deletes this installation's latents from Redis and from the memory of every gateway that uses the same Redis.</summary>
    /// <exception cref="FlamingoException">Unavailable: Redis is configured and does not answer. The memory of this gateway has
    /// been emptied nevertheless.</exception>
    Task<ClearedCache> ClearAsync(CancellationToken cancellation = default);
}

/// <param name="Evictions">Entries that were removed to make space for other entries.</param>
/// <param name="Rejections">Entries that were not admitted because the held entries were used more often.</param>
public sealed record MemoryTierStatistics(long Entries, long Bytes, long MaxBytes, long Hits, long Misses, long Evictions, long Rejections);

/// <param name="Failures">Lookups and writes that failed or took longer than their budget.</param>
/// <param name="Corrupt">Values that could not be decoded; they are counted as misses too.</param>
public sealed record RedisTierStatistics(
    bool Reachable, long Hits, long Misses, long Failures, long Corrupt, long BytesRead, long BytesWritten);

/// <param name="Redis">Null if Redis is not configured.</param>
/// <param name="Encoded">Pictures sent to the stages.</param>
/// <param name="Waits">Pictures that waited for another request's encoding in this gateway.</param>
/// <param name="SharedWaits">Pictures that waited for another gateway's encoding.</param>
/// <param name="Saved">Time that encoding the cached pictures had taken, which the cache hits saved.</param>
public sealed record CacheStatistics(
    MemoryTierStatistics Memory, RedisTierStatistics? Redis, long Encoded, long Waits, long SharedWaits, TimeSpan Saved);

public sealed record ClearedCache(long RedisEntries, long MemoryEntries);

/// <summary>
/// Which callers may change state that all tenants share, for example empty the latent cache. Where callers show keys or tokens,
/// <see cref="Role"/> decides instead of the address; <c>none</c> still refuses all.
/// </summary>
/// <param name="Allowed">
/// <c>loopback</c>: callers whose connection comes from this machine; <c>all</c>: every caller; <c>none</c>: no caller. Code in the
/// process of the gateway itself is always allowed.
/// </param>
public sealed record OperatorCalls(string Allowed)
{
    public const string Loopback = "loopback", All = "all", None = "none";

    /// <summary>The role of callers who may make these calls.</summary>
    public const string Role = "operator";
}
