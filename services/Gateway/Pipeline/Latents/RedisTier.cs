using System.Collections.Concurrent;
using Flamingo.Abstractions;
using Flamingo.Gateway.Operations;
using Flamingo.Gateway.Redis;
using Flamingo.Stages;
using Microsoft.Extensions.Logging;
using StackExchange.Redis;
using WantedValue = (
    string Key, System.Func<Flamingo.Abstractions.TensorDtype, System.Collections.Immutable.ImmutableArray<int>, bool> Fits);

namespace Flamingo.Gateway.Latents;

/// <summary>
/// The cache tier that gateways share through Redis, and the leases by which one gateway encodes a picture for all. Each method
/// waits for Redis once, for any number of pictures. If Redis is unreachable, slow or holds damaged values, the gateway becomes
/// slower, but its answers stay correct and no request fails.
/// <para>
/// A value is stored as a Redis hash in the format of Microsoft.Extensions.Caching.StackExchangeRedis (absexp, sldexp, data), and
/// each use renews its expiry. That package is not used, because it reads one key at a time and waits twice for a hit.
/// </para>
/// <para>
/// A lease is a Redis string that holds a token of its owner. It expires unless the owner renews it. Every command and script
/// uses only one key, as Redis Cluster requires. DistributedLock.Redis is not used, because it takes each lease with a
/// separate call, so that a request could not take the leases of all its pictures and look up their latents in one wait.
/// </para>
/// </summary>
public sealed class RedisTier : IAsyncDisposable, IDisposable
{
    private const int MostPendingValues = 1024;
    private const int ConcurrentPuts = 4;
    private const int ValuesPerBudget = 16;

    private const string RenewIfOwned =
        "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) else return 0 end";

    private const string DeleteIfOwned =
        "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end";

    private static readonly TimeSpan ClosingTimeout = TimeSpan.FromSeconds(2);

    private readonly RedisConnection _connection;
    private readonly RedisOptions _options;
    private readonly IntegritySeal _seal;
    private readonly TimeProvider _time;
    private readonly ILogger<RedisTier> _logger;
    private readonly string _gateway = Guid.NewGuid().ToString("N");
    private readonly ConcurrentDictionary<string, (string Picture, long Taken)> _leases = new(StringComparer.Ordinal); // leases by token
    private readonly ConcurrentDictionary<Task, bool> _puts = new();
    private readonly SemaphoreSlim _putSlots = new(ConcurrentPuts);
    private int _pendingValues;
    private long _hits, _misses, _corrupt, _bytesRead, _bytesWritten, _tokens, _taken, _lost;

    public RedisTier(
        RedisConnection connection, RedisOptions options, IntegritySeal seal, TimeProvider time, ILogger<RedisTier> logger)
    {
        (_connection, _options, _seal, _time, _logger) = (connection, options, seal, time, logger);
        if (connection.IsOn) _ = RenewAsync();
    }

    /// <param name="reachable">Whether Redis answers, to be included in the result.</param>
    public RedisTierStatistics Statistics(bool reachable) => new(
        reachable, Interlocked.Read(ref _hits), Interlocked.Read(ref _misses), _connection.Failures, Interlocked.Read(ref _corrupt),
        Interlocked.Read(ref _bytesRead), Interlocked.Read(ref _bytesWritten));

    /// <summary>Leases that this gateway holds now, and numbers of those that it has taken and lost since the start.</summary>
    public (int Held, long Taken, long Lost) Leases => (_leases.Count, Interlocked.Read(ref _taken), Interlocked.Read(ref _lost));

    /// <summary>Looks values up, counts hits and misses, and renews the expiry of the values found.</summary>
    /// <returns>The values found by key, and whether Redis answered for any of the keys.</returns>
    public async Task<(Dictionary<string, LatentValue> Found, bool Answered)> FindAsync(
        IReadOnlyList<WantedValue> values, CancellationToken cancellation)
    {
        if (!_connection.IsOn) return ([], false);
        using var span = RequestTelemetry.Steps.StartActivity("lookup redis");
        List<Task<RedisValue>> reads = [];
        await _connection.SendAsync(RedisCall.Lookup, "lookup", batch => reads = Read(batch, values), cancellation: cancellation);
        var found = Collect(values, reads, counted: true);
        span?.SetTag("flamingo.values", values.Count).SetTag("flamingo.hits", found.Count);
        return (found, reads.Any(read => read.IsCompletedSuccessfully));
    }

    /// <summary>
    /// Takes the leases of pictures and then looks up their values, so that a new owner of a lease sees the values that the last
    /// owner stored. In a cluster, lease and value may be on different servers, which can execute the commands in another order;
    /// a picture may then be encoded once more.
    /// </summary>
    /// <returns>
    /// The tokens of the taken leases by picture, the pictures whose lease another owner holds, and the values found. For a
    /// picture in neither of the first two, Redis did not answer.
    /// </returns>
    public async Task<(Dictionary<string, string> Leases, HashSet<string> Elsewhere, Dictionary<string, LatentValue> Found)> LeaseAsync(
        IReadOnlyCollection<string> pictures, IReadOnlyList<WantedValue> values)
    {
        using var span = RequestTelemetry.Steps.StartActivity("lease");
        var wanted = pictures.Select(picture => (Picture: picture, Token: $"{_gateway}-{Interlocked.Increment(ref _tokens)}")).ToList();
        List<Task<bool>> lockTakes = [];
        List<Task<RedisValue>> reads = [];
        await _connection.SendAsync(RedisCall.Lease, "lease", batch =>
        {
            lockTakes = [.. wanted.Select(lease => batch.LockTakeAsync(LeaseOf(lease.Picture), lease.Token, _options.LeaseDuration))];
            reads = Read(batch, values);
            return [.. lockTakes, .. reads];
        });

        var (leases, elsewhere) = (new Dictionary<string, string>(StringComparer.Ordinal), new HashSet<string>(StringComparer.Ordinal));
        foreach (var ((picture, token), lockTake) in wanted.Zip(lockTakes).Where(pair => pair.Second.IsCompletedSuccessfully))
        {
            if (!lockTake.Result)
            {
                elsewhere.Add(picture);
                continue;
            }

            leases[picture] = token;
            Interlocked.Increment(ref _taken);
            _leases[token] = (picture, _time.GetTimestamp());
        }

        return (leases, elsewhere, Collect(values, reads, counted: false));
    }

    /// <summary>
    /// Writes values and releases leases in the background. Values under a lease that has been lost are not written. Never
    /// throws. If too many writes are pending, further values are skipped. Disposing this tier waits up to 2 s for pending
    /// writes.
    /// </summary>
    /// <param name="values">Values with their keys and the pictures that they belong to.</param>
    /// <param name="leases">Tokens by picture, of these pictures and of pictures that could not be encoded.</param>
    public void Put(IReadOnlyList<(string Picture, string Key, LatentValue Value)> values, IReadOnlyDictionary<string, string> leases)
    {
        if (!_connection.IsOn || (values.Count == 0 && leases.Count == 0)) return;
        var putting = PutAsync(values, leases);
        _puts.TryAdd(putting, true);
        _ = putting.ContinueWith(done => _puts.TryRemove(done, out _), TaskScheduler.Default);
    }

    public async ValueTask DisposeAsync()
    {
        using var timeout = new CancellationTokenSource(ClosingTimeout);
        await Task.WhenAll(_puts.Keys).WaitAsync(timeout.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    public void Dispose() => DisposeAsync().AsTask().GetAwaiter().GetResult();

    private async Task PutAsync(
        IReadOnlyList<(string Picture, string Key, LatentValue Value)> values, IReadOnlyDictionary<string, string> leases)
    {
        var fits = Interlocked.Add(ref _pendingValues, values.Count) <= MostPendingValues;
        if (!fits) LatentCacheLog.WritesLeftOut(_logger, values.Count);
        await _putSlots.WaitAsync();
        try
        {
            var owned = fits && values.Count > 0 ? await RenewAsync(leases.Values) : [];
            bool MayWrite(string picture) => fits && (!leases.TryGetValue(picture, out var token) || owned.Contains(token));
            var written = values.Where(value => MayWrite(value.Picture)).ToList();
            var returned = leases.Where(lease => _leases.TryRemove(lease.Value, out _)).ToList();
            List<(Task Write, long Bytes)> writes = [];
            if (written.Count > 0)
                await _connection.SendAsync(RedisCall.Write, "write", batch =>
                {
                    writes = [.. written.Select(value => Write(batch, value.Key, value.Value))];
                    // The leases are released last, so that the next owner of a lease sees the written values.
                    return [.. writes.Select(write => write.Write), .. Release(batch)];
                }, budgets: 1 + (written.Count / ValuesPerBudget));
            // Writes that are skipped release no leases, and others must not wait for leases to expire.
            if (writes.Count == 0 && returned.Count > 0) await _connection.SendAsync(RedisCall.Lease, "release of leases", Release);
            IEnumerable<Task> Release(IBatch batch) => returned.Select(lease => Run(batch, DeleteIfOwned, lease.Key, lease.Value));
            Interlocked.Add(ref _bytesWritten, writes.Where(write => write.Write.IsCompletedSuccessfully).Sum(write => write.Bytes));
        }
        finally
        {
            _putSlots.Release();
            Interlocked.Add(ref _pendingValues, -values.Count);
        }
    }

    // One loop renews all leases, each at most for the time that others would wait for it, so that an owner that hangs does not
    // delay others longer.
    private async Task RenewAsync()
    {
        using var timer = new PeriodicTimer(_options.LeaseDuration / 3, _time);
        try
        {
            while (await timer.WaitForNextTickAsync(_connection.Closing))
                await RenewAsync(
                    [.. _leases.Where(lease => _time.GetElapsedTime(lease.Value.Taken) < _options.LeaseWait).Select(lease => lease.Key)]);
        }
        catch (OperationCanceledException)
        {
            // The connection is closing. Leases that were not released expire.
        }
    }

    // Renews leases. Returns the tokens of the leases that this gateway still owns, and forgets the leases that it has lost.
    private async Task<HashSet<string>> RenewAsync(IEnumerable<string> tokens)
    {
        List<(string Token, string Picture)> held = [];
        foreach (var token in tokens)
            if (_leases.TryGetValue(token, out var lease)) held.Add((token, lease.Picture));
        if (held.Count == 0) return [];
        List<Task<RedisResult>> answers = [];
        var milliseconds = (long)_options.LeaseDuration.TotalMilliseconds;
        await _connection.SendAsync(
            RedisCall.Lease, "renewal of leases",
            batch => answers = [.. held.Select(lease => Run(batch, RenewIfOwned, lease.Picture, lease.Token, milliseconds))]);
        var owned = new HashSet<string>(StringComparer.Ordinal);
        foreach (var (lease, answer) in held.Zip(answers).Where(pair => pair.Second.IsCompletedSuccessfully))
        {
            if ((long)answer.Result == 1) owned.Add(lease.Token);
            else if (_leases.TryRemove(lease.Token, out _))
            {
                Interlocked.Increment(ref _lost);
                LatentCacheLog.LeaseLost(_logger, lease.Picture);
            }
        }

        return owned;
    }

    // EXPIRE has no effect on a key that does not exist, and its answer is not needed.
    private List<Task<RedisValue>> Read(IBatch batch, IReadOnlyList<WantedValue> values)
    {
        foreach (var value in values) _ = batch.KeyExpireAsync(NameOf(value.Key), _options.TimeToLive, CommandFlags.FireAndForget);
        return [.. values.Select(value => batch.HashGetAsync(NameOf(value.Key), "data"))];
    }

    private Dictionary<string, LatentValue> Collect(IReadOnlyList<WantedValue> values, List<Task<RedisValue>> reads, bool counted)
    {
        var found = new Dictionary<string, LatentValue>(StringComparer.Ordinal);
        for (var index = 0; index < reads.Count; index++)
        {
            var ((key, fits), read) = (values[index], reads[index]);
            if (!read.IsCompletedSuccessfully || read.Result.IsNull) continue;
            // a separate array, which the memory tier and the sender of messages use without a copy
            var bytes = (ReadOnlyMemory<byte>)read.Result;
            Interlocked.Add(ref _bytesRead, bytes.Length);
            if (LatentValue.Read(key, bytes, fits, _seal) is { } value)
            {
                found[key] = value;
            }
            else if (counted)
            {
                Interlocked.Increment(ref _corrupt);
                LatentCacheLog.Corrupt(_logger, key);
            }
        }

        if (!counted) return found;
        Interlocked.Add(ref _hits, found.Count);
        Interlocked.Add(ref _misses, values.Count - found.Count);
        return found;
    }

    private (Task Write, long Bytes) Write(IBatch batch, string key, LatentValue value)
    {
        var bytes = value.Write(key, _seal);
        HashEntry[] fields = [new("absexp", -1), new("sldexp", _options.TimeToLive.Ticks), new("data", bytes)];
        var name = NameOf(key);
        return (Task.WhenAll(batch.HashSetAsync(name, fields), batch.KeyExpireAsync(name, _options.TimeToLive)), bytes.Length);
    }

    // EVAL is used instead of EVALSHA, because a restarted server does not know the script.
    private Task<RedisResult> Run(IBatch batch, string script, string picture, params RedisValue[] arguments) =>
        batch.ScriptEvaluateAsync(script, [LeaseOf(picture)], arguments, CommandFlags.NoScriptCache);

    private RedisKey NameOf(string key) => $"{_options.InstanceName}{key}";

    // Leases have another prefix than latents, so that clearing the cache does not delete them.
    private RedisKey LeaseOf(string picture) => $"lease:{_options.InstanceName}{picture}";
}
