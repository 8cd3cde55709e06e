using Flamingo.Abstractions;
using Google.Protobuf.WellKnownTypes;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Wire;

/// <summary>Converts the statistics of the latent cache.</summary>
public static class LatentCacheWire
{
    public static V1.CacheUse ToMessage(this CacheUse record) => new()
    {
        MemoryHits = record.MemoryHits, RedisHits = record.RedisHits, Encoded = record.Encoded, Waits = record.Waits,
        SavedMs = record.Saved.TotalMilliseconds,
    };

    public static CacheUse ToRecord(this V1.CacheUse? message) => message is null
        ? CacheUse.None
        : new(message.MemoryHits, message.RedisHits, message.Encoded, message.Waits, TimeWire.Milliseconds(message.SavedMs));

    public static V1.CacheStatistics ToMessage(this CacheStatistics record)
    {
        var memory = record.Memory;
        var message = new V1.CacheStatistics
        {
            Memory = new V1.MemoryTierStatistics
            {
                Entries = memory.Entries, Bytes = memory.Bytes, MaxBytes = memory.MaxBytes, Hits = memory.Hits, Misses = memory.Misses,
                Evictions = memory.Evictions, Rejections = memory.Rejections,
            },
            Encoded = record.Encoded, Waits = record.Waits, SharedWaits = record.SharedWaits, Saved = Duration.FromTimeSpan(record.Saved),
        };
        if (record.Redis is { } redis)
        {
            message.Redis = new V1.RedisTierStatistics
            {
                Reachable = redis.Reachable, Hits = redis.Hits, Misses = redis.Misses, Failures = redis.Failures, Corrupt = redis.Corrupt,
                BytesRead = redis.BytesRead, BytesWritten = redis.BytesWritten,
            };
        }

        return message;
    }

    public static CacheStatistics ToRecord(this V1.CacheStatistics message)
    {
        var (memory, redis) = (message.Memory ?? new V1.MemoryTierStatistics(), message.Redis);
        return new CacheStatistics(
            new MemoryTierStatistics(
                memory.Entries, memory.Bytes, memory.MaxBytes, memory.Hits, memory.Misses, memory.Evictions, memory.Rejections),
            redis is null
                ? null
                : new RedisTierStatistics(
                    redis.Reachable, redis.Hits, redis.Misses, redis.Failures, redis.Corrupt, redis.BytesRead, redis.BytesWritten),
            message.Encoded, message.Waits, message.SharedWaits, message.Saved?.ToTimeSpan() ?? TimeSpan.Zero);
    }

    public static V1.ClearCacheResponse ToMessage(this ClearedCache record) =>
        new() { RedisEntries = record.RedisEntries, MemoryEntries = record.MemoryEntries };

    public static ClearedCache ToRecord(this V1.ClearCacheResponse message) => new(message.RedisEntries, message.MemoryEntries);
}
