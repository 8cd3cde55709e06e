using Flamingo.Abstractions;
using Flamingo.Stages;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.Caching.StackExchangeRedis;
using Microsoft.Extensions.Logging;

namespace Flamingo.Gateway.LatentCache;

/// <summary>
/// The shared tier. Redis gone, slow or holding garbage is slower, never wrong and never an error: every failure is a
/// logged miss. An entry lives for a while after its last use.
/// </summary>
public sealed partial class RedisLatentCache
{
    private const int MostWrites = 1024;

    private readonly RedisConnection _connection;
    private readonly IBufferDistributedCache _cache;
    private readonly ILogger<RedisLatentCache> _logger;
    private readonly DistributedCacheEntryOptions _expiry;
    private readonly SemaphoreSlim _writes = new(16);
    private int _writesUnderWay;
    private long _hits, _misses, _corrupt, _bytesRead, _bytesWritten;

    public RedisLatentCache(RedisConnection connection, RedisOptions options, ILogger<RedisLatentCache> logger)
    {
        (_connection, _logger) = (connection, logger);
        _cache = new RedisCache(new RedisCacheOptions { ConnectionMultiplexerFactory = connection.ConnectAsync, InstanceName = options.InstanceName });
        _expiry = new DistributedCacheEntryOptions { SlidingExpiration = options.TimeToLive };
    }

    /// <param name="reachable">Whether it answers, which is not known here.</param>
    public RedisTierStatistics Statistics(bool reachable) => new(
        reachable, Interlocked.Read(ref _hits), Interlocked.Read(ref _misses), _connection.Failures, Interlocked.Read(ref _corrupt), Interlocked.Read(ref _bytesRead), Interlocked.Read(ref _bytesWritten));

    /// <param name="counted">False to look once more for what was counted as a miss.</param>
    /// <returns>A null entry is a miss of any kind; whether Redis answered at all.</returns>
    public async Task<(LatentEntry? Entry, bool Answered)> GetAsync(string key, LatentFit fits, bool counted, CancellationToken cancellation)
    {
        if (!_connection.IsOn) return default;
        var reader = new LatentValueReader(key, fits);
        var (answered, found) = await _connection.TryAsync("lookup", async (_, token) => await _cache.TryGetAsync(key, reader, token), cancellation);
        var entry = found ? reader.Entry() : null; // a reader that was given up may still be written to: it is not looked at
        if (counted) Interlocked.Increment(ref (entry is null ? ref _misses : ref _hits));
        if (!found) return (null, answered);
        Interlocked.Add(ref _bytesRead, reader.Written);
        if (entry is null && counted)
        {
            Interlocked.Increment(ref _corrupt);
            Corrupt(key);
        }

        return (entry, answered);
    }

    /// <summary>Never throws. Above a bound of writes under way, further ones are left out.</summary>
    public async Task PutAsync(string key, LatentEntry entry)
    {
        if (!_connection.IsOn) return;
        if (Interlocked.Increment(ref _writesUnderWay) > MostWrites)
        {
            Interlocked.Decrement(ref _writesUnderWay);
            return;
        }

        await _writes.WaitAsync();
        try
        {
            var value = LatentValue.Write(key, entry);
            var (written, _) = await _connection.TryAsync("write", async (_, token) =>
            {
                await _cache.SetAsync(key, value, _expiry, token);
                return true;
            });
            if (written) Interlocked.Add(ref _bytesWritten, value.Length);
        }
        finally
        {
            _writes.Release();
            Interlocked.Decrement(ref _writesUnderWay);
        }
    }

    [LoggerMessage(1, LogLevel.Warning, "Redis holds a corrupt value under {Key}, counted as a miss")]
    private partial void Corrupt(string key);
}
