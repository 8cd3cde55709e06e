using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.Logging;
using Polly;
using Polly.CircuitBreaker;
using Polly.Timeout;

namespace Flamingo.Gateway.LatentCache;

/// <summary>
/// The shared tier. Redis gone, slow or holding garbage is slower, never wrong and never an error: every failure is a
/// logged miss, a lookup ends with its budget, and after repeated failures lookups are left out for a while.
/// </summary>
public sealed partial class RedisLatentCache
{
    private readonly IDistributedCache _cache;
    private readonly ILogger<RedisLatentCache> _logger;
    private readonly DistributedCacheEntryOptions _expiry;
    private readonly ResiliencePipeline _lookups;
    private readonly SemaphoreSlim _writes = new(16);

    public RedisLatentCache(IDistributedCache cache, RedisOptions options, TimeProvider time, ILogger<RedisLatentCache> logger)
    {
        (_cache, _logger) = (cache, logger);
        _expiry = new DistributedCacheEntryOptions { SlidingExpiration = options.TimeToLive };
        _lookups = new ResiliencePipelineBuilder { TimeProvider = time }
            .AddCircuitBreaker(new CircuitBreakerStrategyOptions
            {
                FailureRatio = 0.5,
                MinimumThroughput = 4,
                SamplingDuration = TimeSpan.FromSeconds(10),
                BreakDuration = options.BreakDuration,
                ShouldHandle = new PredicateBuilder().Handle<Exception>(exception => exception is not OperationCanceledException),
            })
            .AddTimeout(options.LookupBudget)
            .Build();
    }

    /// <returns>Null for a miss of any kind.</returns>
    public async Task<LatentEntry?> GetAsync(string key, CancellationToken cancellation)
    {
        byte[]? value;
        try
        {
            // the client library may not look at the token while it waits for a dead server: WaitAsync does
            value = await _lookups.ExecuteAsync(async token => await _cache.GetAsync(key, token).WaitAsync(token), cancellation);
        }
        catch (Exception exception) when (!cancellation.IsCancellationRequested)
        {
            if (exception is not BrokenCircuitException) LookupFailed(key, exception is TimeoutRejectedException ? "budget exceeded" : exception.Message);
            return null;
        }

        if (value is null) return null;
        var entry = LatentValue.Read(value);
        if (entry is null) Corrupt(key);
        return entry;
    }

    /// <summary>Writes behind the answer; never throws. Above a bound of writes under way, further ones are left out.</summary>
    public async Task PutAsync(string key, LatentEntry entry)
    {
        if (!_writes.Wait(0)) return;
        try
        {
            await _lookups.ExecuteAsync(async token => await _cache.SetAsync(key, LatentValue.Write(entry), _expiry, token).WaitAsync(token));
        }
        catch (Exception exception)
        {
            if (exception is not BrokenCircuitException) WriteFailed(key, exception is TimeoutRejectedException ? "budget exceeded" : exception.Message);
        }
        finally
        {
            _writes.Release();
        }
    }

    [LoggerMessage(1, LogLevel.Warning, "Redis lookup of {Key} failed, counted as a miss: {Reason}")]
    private partial void LookupFailed(string key, string reason);

    [LoggerMessage(2, LogLevel.Warning, "Redis holds a corrupt value under {Key}, counted as a miss")]
    private partial void Corrupt(string key);

    [LoggerMessage(3, LogLevel.Warning, "Redis write of {Key} failed; the latents stay in memory alone: {Reason}")]
    private partial void WriteFailed(string key, string reason);
}
