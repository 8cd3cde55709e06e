using Flamingo.Stages;

namespace Flamingo.Gateway.LatentCache;

/// <summary>Both tiers as one: memory, then Redis, whose finds are kept in memory.</summary>
/// <param name="redis">Null where it is off.</param>
public sealed class LatentTiers(MemoryLatentCache memory, RedisLatentCache? redis)
{
    public LatentEntry? InMemory(string key) => memory.Get(key);

    /// <param name="fits">Dtype and shape stand outside the checksum, and the key says what they must be: anything else is a miss.</param>
    /// <returns>Null for a miss of any kind.</returns>
    public async Task<(LatentEntry Entry, PictureSource Source)?> GetAsync(string key, Func<TensorData, bool> fits, CancellationToken cancellation)
    {
        if (memory.Get(key) is { } held) return (held, PictureSource.Memory);
        if (redis is null || await redis.GetAsync(key, cancellation) is not { } shared || !fits(shared.Latents.Tensor)) return null;
        memory.Put(key, shared);
        return (shared, PictureSource.Redis);
    }

    /// <summary>Into memory now, into Redis behind the answer; never throws.</summary>
    public void Put(string key, LatentEntry entry)
    {
        memory.Put(key, entry);
        if (redis is not null) _ = redis.PutAsync(key, entry);
    }
}
