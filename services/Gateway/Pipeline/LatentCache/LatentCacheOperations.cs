using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Gateway.LatentCache;

/// <summary>The latent cache as operators see it.</summary>
public sealed class LatentCacheOperations(MemoryLatentCache memory, RedisConnection connection, RedisLatentCache redis, RedisClearing clearing, LatentCacheCounters counters) : ILatentCacheOperations
{
    public async Task<CacheStatistics> GetStatisticsAsync(CancellationToken cancellation) => Read(await connection.IsReachableAsync(cancellation));

    public async Task<ClearedCache> ClearAsync(CancellationToken cancellation)
    {
        var entries = memory.Statistics.Entries;
        try
        {
            return new ClearedCache(connection.IsOn ? await clearing.ClearAsync(cancellation) : 0, entries);
        }
        finally
        {
            memory.Clear(); // last: what was found in Redis meanwhile goes, too
        }
    }

    /// <summary>What has been counted, without asking Redis.</summary>
    public CacheStatistics Read(bool reachable = false) => new(
        memory.Statistics, connection.IsOn ? redis.Statistics(reachable) : null, counters.Encoded, counters.Waits, counters.SharedWaits, counters.Saved);
}
