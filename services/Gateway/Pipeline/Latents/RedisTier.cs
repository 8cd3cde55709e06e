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
/// The tier that gateways share, and the leases by which one of them encodes a picture for all. Each method waits for Redis once,
/// whatever the number of pictures. A Redis that is away, slow or holds garbage makes the gateway slower, never wrong, and is never an
/// error.
/// <para>
/// A value is a hash as Microsoft.Extensions.Caching.StackExchangeRedis writes it (absexp, sldexp, data), and each use renews its life.
/// That package is not used itself, since it asks for one key at a time and waits twice for a hit.
/// </para>
/// <para>
/// A lease is a string with a token of its owner. It expires unless it is prolonged. Every command and script touches one key alone, as
/// Redis Cluster demands. DistributedLock.Redis is not used, because it takes each lease by a call of its own, so that a request could
/// not take the leases of all its pictures and look for their latents in one wait.
/// </para>
/// </summary>
public sealed class RedisTier : IAsyncDisposable, IDisposable
{
    private const int MostValuesUnderWay = 1024;
    private const int PutsAtOnce = 4;
    private const int ValuesPerBudget = 16;

    private const string ProlongIfOwned =
        "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) else return 0 end";

    private const string DeleteIfOwned =
        "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end";

    private static readonly TimeSpan ClosingPatience = TimeSpan.FromSeconds(2);

    private readonly RedisConnection _connection;
    private readonly RedisOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger<RedisTier> _logger;
    private readonly string _gateway = Guid.NewGuid().ToString("N");
    private readonly ConcurrentDictionary<string, (string Picture, long Taken)> _leases = new(StringComparer.Ordinal); // by token
    private readonly ConcurrentDictionary<Task, bool> _puts = new();
    private readonly SemaphoreSlim _turns = new(PutsAtOnce);
    private int _valuesUnderWay;
    private long _hits, _misses, _corrupt, _bytesRead, _bytesWritten, _tokens;

    public RedisTier(RedisConnection connection, RedisOptions options, TimeProvider time, ILogger<RedisTier> logger)
    {
        (_connection, _options, _time, _logger) = (connection, options, time, logger);
        if (connection.IsOn) _ = ProlongAsync();
    }

    /// <param name="reachable">Whether it answers, which is not known here.</param>
    public RedisTierStatistics Statistics(bool reachable) => new(
        reachable, Interlocked.Read(ref _hits), Interlocked.Read(ref _misses), _connection.Failures, Interlocked.Read(ref _corrupt),
        Interlocked.Read(ref _bytesRead), Interlocked.Read(ref _bytesWritten));

    /// <summary>Looks values up, counts hits and misses, and renews the life of what is there.</summary>
    /// <returns>Values by key; and whether Redis answered for any of them.</returns>
    public async Task<(Dictionary<string, LatentValue> Found, bool Answered)> FindAsync(
        IReadOnlyList<WantedValue> values, CancellationToken cancellation)
    {
        if (!_connection.IsOn) return ([], false);
        List<Task<RedisValue>> reads = [];
        await _connection.SendAsync("lookup", batch => reads = Read(batch, values), cancellation: cancellation);
        var found = Take(values, reads, counted: true);
        return (found, reads.Any(read => read.IsCompletedSuccessfully));
    }

    /// <summary>
    /// Takes the leases of pictures, and looks up their values behind that: whoever takes a lease sees what its last owner has put. In a
    /// cluster the two may live on different servers, which can answer in another order; then a picture may be encoded once more.
    /// </summary>
    /// <returns>
    /// Tokens of the leases taken, by picture; pictures whose lease another one holds; values found. A picture that is in neither of the
    /// first two has no answer from Redis.
    /// </returns>
    public async Task<(Dictionary<string, string> Leases, HashSet<string> Elsewhere, Dictionary<string, LatentValue> Found)> LeaseAsync(
        IReadOnlyCollection<string> pictures, IReadOnlyList<WantedValue> values)
    {
        var wanted = pictures.Select(picture => (Picture: picture, Token: $"{_gateway}-{Interlocked.Increment(ref _tokens)}")).ToList();
        List<Task<bool>> takes = [];
        List<Task<RedisValue>> reads = [];
        await _connection.SendAsync("lease", batch =>
        {
            takes = [.. wanted.Select(lease => batch.LockTakeAsync(LeaseOf(lease.Picture), lease.Token, _options.LeaseDuration))];
            reads = Read(batch, values);
            return [.. takes, .. reads];
        });

        var (leases, elsewhere) = (new Dictionary<string, string>(StringComparer.Ordinal), new HashSet<string>(StringComparer.Ordinal));
        foreach (var ((picture, token), take) in wanted.Zip(takes).Where(pair => pair.Second.IsCompletedSuccessfully))
        {
            if (!take.Result)
            {
                elsewhere.Add(picture);
                continue;
            }

            leases[picture] = token;
            _leases[token] = (picture, _time.GetTimestamp());
        }

        return (leases, elsewhere, Take(values, reads, counted: false));
    }

    /// <summary>
    /// Writes values and gives leases back, behind the answer. What stands under a lease that has been lost is not written. Never throws;
    /// above a bound of values under way, further ones are left out. Disposing this tier waits a moment for what is under way.
    /// </summary>
    /// <param name="values">Each under its key, with the picture that it belongs to.</param>
    /// <param name="leases">Tokens by picture, of these pictures and of others that could not be encoded.</param>
    public void Put(IReadOnlyList<(string Picture, string Key, LatentValue Value)> values, IReadOnlyDictionary<string, string> leases)
    {
        if (!_connection.IsOn || (values.Count == 0 && leases.Count == 0)) return;
        var putting = PutAsync(values, leases);
        _puts.TryAdd(putting, true);
        _ = putting.ContinueWith(done => _puts.TryRemove(done, out _), TaskScheduler.Default);
    }

    public async ValueTask DisposeAsync()
    {
        using var patience = new CancellationTokenSource(ClosingPatience);
        await Task.WhenAll(_puts.Keys).WaitAsync(patience.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    public void Dispose() => DisposeAsync().AsTask().GetAwaiter().GetResult();

    private async Task PutAsync(
        IReadOnlyList<(string Picture, string Key, LatentValue Value)> values, IReadOnlyDictionary<string, string> leases)
    {
        var fits = Interlocked.Add(ref _valuesUnderWay, values.Count) <= MostValuesUnderWay;
        if (!fits) LatentCacheLog.WritesLeftOut(_logger, values.Count);
        await _turns.WaitAsync();
        try
        {
            var owned = fits && values.Count > 0 ? await ProlongAsync(leases.Values) : [];
            bool MayWrite(string picture) => fits && (!leases.TryGetValue(picture, out var token) || owned.Contains(token));
            var written = values.Where(value => MayWrite(value.Picture)).ToList();
            var returned = leases.Where(lease => _leases.TryRemove(lease.Value, out _)).ToList();
            List<(Task Write, long Bytes)> writes = [];
            await _connection.SendAsync("write", batch =>
            {
                writes = [.. written.Select(value => Write(batch, value.Key, value.Value))];
                // The leases go last, so that whoever takes one next sees what has been written.
                var returns = returned.Select(lease => Run(batch, DeleteIfOwned, lease.Key, lease.Value));
                return [.. writes.Select(write => write.Write), .. returns];
            }, budgets: 1 + (written.Count / ValuesPerBudget));
            Interlocked.Add(ref _bytesWritten, writes.Where(write => write.Write.IsCompletedSuccessfully).Sum(write => write.Bytes));
        }
        finally
        {
            _turns.Release();
            Interlocked.Add(ref _valuesUnderWay, -values.Count);
        }
    }

    // One loop prolongs all leases, each for as long as others would wait for it: an owner that hangs delays nobody for longer.
    private async Task ProlongAsync()
    {
        using var timer = new PeriodicTimer(_options.LeaseDuration / 3, _time);
        try
        {
            while (await timer.WaitForNextTickAsync(_connection.Closing))
                await ProlongAsync(
                    [.. _leases.Where(lease => _time.GetElapsedTime(lease.Value.Taken) < _options.LeaseWait).Select(lease => lease.Key)]);
        }
        catch (OperationCanceledException)
        {
            // The connection is closing: leases that are not given back expire.
        }
    }

    // Forgets leases that Redis says are not ours any more, and gives the tokens of those that it says are.
    private async Task<HashSet<string>> ProlongAsync(IEnumerable<string> tokens)
    {
        List<(string Token, string Picture)> held = [];
        foreach (var token in tokens)
            if (_leases.TryGetValue(token, out var lease)) held.Add((token, lease.Picture));
        if (held.Count == 0) return [];
        List<Task<RedisResult>> answers = [];
        var milliseconds = (long)_options.LeaseDuration.TotalMilliseconds;
        await _connection.SendAsync(
            "prolongation of leases",
            batch => answers = [.. held.Select(lease => Run(batch, ProlongIfOwned, lease.Picture, lease.Token, milliseconds))]);
        var owned = new HashSet<string>(StringComparer.Ordinal);
        foreach (var (lease, answer) in held.Zip(answers).Where(pair => pair.Second.IsCompletedSuccessfully))
        {
            if ((long)answer.Result == 1) owned.Add(lease.Token);
            else if (_leases.TryRemove(lease.Token, out _)) LatentCacheLog.LeaseLost(_logger, lease.Picture);
        }

        return owned;
    }

    // EXPIRE does nothing for a value that is not there, and its answer says nothing that matters here.
    private List<Task<RedisValue>> Read(IBatch batch, IReadOnlyList<WantedValue> values)
    {
        foreach (var value in values) _ = batch.KeyExpireAsync(NameOf(value.Key), _options.TimeToLive, CommandFlags.FireAndForget);
        return [.. values.Select(value => batch.HashGetAsync(NameOf(value.Key), "data"))];
    }

    private Dictionary<string, LatentValue> Take(IReadOnlyList<WantedValue> values, List<Task<RedisValue>> reads, bool counted)
    {
        var found = new Dictionary<string, LatentValue>(StringComparer.Ordinal);
        for (var place = 0; place < reads.Count; place++)
        {
            var ((key, fits), read) = (values[place], reads[place]);
            if (!read.IsCompletedSuccessfully || read.Result.IsNull) continue;
            var bytes = (ReadOnlyMemory<byte>)read.Result; // an array of its own, which memory tier and wire read in place
            Interlocked.Add(ref _bytesRead, bytes.Length);
            if (LatentValue.Read(key, bytes, fits) is { } value)
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
        var bytes = value.Write(key);
        HashEntry[] fields = [new("absexp", -1), new("sldexp", _options.TimeToLive.Ticks), new("data", bytes)];
        var name = NameOf(key);
        return (Task.WhenAll(batch.HashSetAsync(name, fields), batch.KeyExpireAsync(name, _options.TimeToLive)), bytes.Length);
    }

    // EVAL and not EVALSHA: a server that was restarted does not know the script.
    private Task<RedisResult> Run(IBatch batch, string script, string picture, params RedisValue[] arguments) =>
        batch.ScriptEvaluateAsync(script, [LeaseOf(picture)], arguments, CommandFlags.NoScriptCache);

    private RedisKey NameOf(string key) => $"{_options.InstanceName}{key}";

    // Beside the latents, where clearing the cache does not find it.
    private RedisKey LeaseOf(string picture) => $"lease:{_options.InstanceName}{picture}";
}
