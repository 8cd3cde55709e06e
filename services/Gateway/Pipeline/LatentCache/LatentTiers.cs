using System.Collections.Concurrent;
using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Gateway.LatentCache;

/// <param name="Entry">Null for a miss of any kind.</param>
/// <param name="Source">Of an entry.</param>
/// <param name="Answered">Whether Redis was asked and answered.</param>
public readonly record struct LatentFind(LatentEntry? Entry, PictureSource Source, bool Answered);

/// <summary>Both tiers as one: memory, then Redis, whose finds are kept in memory. Disposing it waits a moment for what is on its way to Redis.</summary>
public sealed class LatentTiers(MemoryLatentCache memory, RedisLatentCache redis) : IAsyncDisposable, IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    private readonly ConcurrentDictionary<Task, bool> _publishing = new();

    /// <summary>A glance without a trace.</summary>
    public LatentEntry? InMemory(string key) => memory.Peek(key);

    /// <param name="fits">What the key says that dtype and shape must be: anything else is a miss.</param>
    public async Task<LatentFind> GetAsync(string key, LatentFit fits, CancellationToken cancellation) =>
        memory.Get(key) is { } held ? new LatentFind(held, PictureSource.Memory, false) : await FromRedisAsync(key, fits, counted: true, cancellation);

    /// <summary>Looks once more for what was a miss; counted as no lookup.</summary>
    public async Task<LatentFind> GetAgainAsync(string key, LatentFit fits) =>
        memory.Peek(key) is { } held ? new LatentFind(held, PictureSource.Memory, false) : await FromRedisAsync(key, fits, counted: false, CancellationToken.None);

    /// <summary>Into memory now, into Redis behind the answer, unless the lease on it has been lost; gives the lease back. Never throws.</summary>
    /// <param name="lease">Null where there is no Redis to give one.</param>
    public void Put(IReadOnlyList<(string Key, LatentEntry Entry)> values, Lease? lease)
    {
        foreach (var (key, entry) in values) memory.Put(key, entry);
        var publishing = PublishAsync(values, lease);
        _publishing.TryAdd(publishing, true);
        _ = publishing.ContinueWith(done => _publishing.TryRemove(done, out _), TaskScheduler.Default);
    }

    public async ValueTask DisposeAsync()
    {
        using var patience = new CancellationTokenSource(Patience);
        await Task.WhenAll(_publishing.Keys).WaitAsync(patience.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    public void Dispose() => DisposeAsync().AsTask().GetAwaiter().GetResult();

    private async Task PublishAsync(IReadOnlyList<(string Key, LatentEntry Entry)> values, Lease? lease)
    {
        if (lease is null || await lease.IsHeldAsync()) await Task.WhenAll(values.Select(value => redis.PutAsync(value.Key, value.Entry)));
        if (lease is not null) await lease.ReturnAsync();
    }

    private async Task<LatentFind> FromRedisAsync(string key, LatentFit fits, bool counted, CancellationToken cancellation)
    {
        var (entry, answered) = await redis.GetAsync(key, fits, counted, cancellation);
        if (entry is not null) memory.Put(key, entry);
        return new LatentFind(entry, PictureSource.Redis, answered);
    }
}
