using StackExchange.Redis;

namespace Flamingo.Gateway.LatentCache;

/// <summary>
/// The right to encode one picture: a token in Redis that lives briefly and is prolonged until it is given back, lost, or
/// held too long to be believed in. Redis compares tokens, so that nobody prolongs or gives back another's.
/// </summary>
public sealed class Lease
{
    private readonly RedisConnection _connection;
    private readonly RedisOptions _options;
    private readonly TimeProvider _time;
    private readonly (RedisKey Name, RedisValue Token) _lock;
    private readonly CancellationTokenSource _returned;
    private volatile bool _lost;

    internal Lease(RedisConnection connection, RedisOptions options, TimeProvider time, RedisKey name, RedisValue token)
    {
        (_connection, _options, _time, _lock) = (connection, options, time, (name, token));
        _returned = CancellationTokenSource.CreateLinkedTokenSource(connection.Closing);
        _ = ProlongAsync(_returned.Token);
    }

    /// <summary>Whether it is still this one, asked of Redis, and prolonged if so.</summary>
    public async Task<bool> IsHeldAsync() => !_lost && await ExtendAsync() is (true, true);

    /// <summary>Once. Never throws; if Redis does not answer, the token dies by itself.</summary>
    public async Task ReturnAsync()
    {
        await _returned.CancelAsync();
        _returned.Dispose();
        if (!_lost) await _connection.TryAsync("lease's return", (database, _) => database.LockReleaseAsync(_lock.Name, _lock.Token));
    }

    private async Task ProlongAsync(CancellationToken returned)
    {
        for (var taken = _time.GetTimestamp(); _time.GetElapsedTime(taken) < _options.LeaseWait && !_lost;)
        {
            await Task.Delay(_options.LeaseDuration / 3, _time, returned).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (returned.IsCancellationRequested) return;
            if (await ExtendAsync() is (true, false)) _lost = true;
        }
    }

    private Task<(bool Answered, bool Held)> ExtendAsync() =>
        _connection.TryAsync("lease's extension", (database, _) => database.LockExtendAsync(_lock.Name, _lock.Token, _options.LeaseDuration));
}

/// <summary>Leases by latent key. They stand beside the latents, where clearing the cache does not find them.</summary>
public sealed class RedisLeases(RedisConnection connection, RedisOptions options, TimeProvider time)
{
    private readonly string _gateway = Guid.NewGuid().ToString("N");
    private long _taken;

    /// <returns>A null lease, although Redis answered: somebody else has it.</returns>
    public async Task<(bool Answered, Lease? Lease)> TryTakeAsync(string key)
    {
        var (name, token) = ($"lease:{options.InstanceName}{key}", $"{_gateway}-{Interlocked.Increment(ref _taken)}");
        var (answered, taken) = await connection.TryAsync("lease", (database, _) => database.LockTakeAsync(name, token, options.LeaseDuration));
        return (answered, taken ? new Lease(connection, options, time, name, token) : null);
    }
}
