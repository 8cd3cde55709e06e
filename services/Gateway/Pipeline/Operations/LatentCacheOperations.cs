using Flamingo.Abstractions;
using Flamingo.Gateway.Eviction;
using Flamingo.Gateway.Latents;
using Flamingo.Gateway.Redis;
using Microsoft.Extensions.Logging;

namespace Flamingo.Gateway.Operations;

/// <summary>Implements the operators' calls on the latent cache.</summary>
public sealed class LatentCacheOperations(
    TinyLfuCache<LatentValue> memory, RedisConnection connection, RedisTier redis, RedisClearing clearing, LatentCacheCounters counters,
    ILogger<LatentCacheOperations> logger) : ILatentCacheOperations
{
    public async Task<CacheStatistics> GetStatisticsAsync(CancellationToken cancellation) =>
        Read(await connection.IsReachableAsync(cancellation));

    public async Task<ClearedCache> ClearAsync(CancellationToken cancellation)
    {
        var entries = memory.Statistics.Entries;
        try
        {
            var cleared = new ClearedCache(connection.IsOn ? await clearing.ClearAsync(cancellation) : 0, entries);
            LatentCacheLog.Cleared(logger, cleared.RedisEntries, cleared.MemoryEntries);
            return cleared;
        }
        finally
        {
            memory.Clear(); // last, so that latents read from Redis meanwhile are removed too
        }
    }

    /// <summary>The leases of this gateway, see <see cref="RedisTier.Leases"/>; null if Redis is turned off.</summary>
    public (int Held, long Taken, long Lost)? Leases => connection.IsOn ? redis.Leases : null;

    /// <summary>Returns the current counts without a call to Redis.</summary>
    public CacheStatistics Read(bool reachable = false) => new(
        memory.Statistics, connection.IsOn ? redis.Statistics(reachable) : null, counters.Encoded, counters.Waits, counters.SharedWaits,
        counters.Saved);
}
