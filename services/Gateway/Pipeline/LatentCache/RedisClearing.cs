using System.Buffers;
using Flamingo.Abstractions;
using Flamingo.Stages;
using StackExchange.Redis;

namespace Flamingo.Gateway.LatentCache;

/// <summary>
/// Emptying the cache of an installation: the latents in Redis, and by a message the memory of every gateway on it. A
/// gateway that is cut off from Redis meanwhile keeps its memory, which is as right as before.
/// </summary>
public sealed class RedisClearing
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5); // of one step: more than a lookup may take, since somebody waits for it

    private readonly RedisConnection _connection;
    private readonly MemoryLatentCache _memory;
    private readonly RedisOptions _options;

    public RedisClearing(RedisConnection connection, MemoryLatentCache memory, RedisOptions options)
    {
        (_connection, _memory, _options) = (connection, memory, options);
        if (connection.IsOn) _ = ListenAsync();
    }

    private RedisChannel Channel => RedisChannel.Literal($"clear:{_options.InstanceName}");

    /// <returns>Entries that left Redis.</returns>
    /// <exception cref="FlamingoException">Unavailable.</exception>
    public async Task<long> ClearAsync(CancellationToken cancellation)
    {
        try
        {
            var connection = await _connection.ConnectAsync().WaitAsync(cancellation);
            var servers = connection.GetServers().Where(server => !server.IsReplica).ToList();
            if (servers.Count == 0 || !servers.All(server => server.IsConnected)) throw new TimeoutException("It is not connected.");
            var left = 0L;
            foreach (var server in servers) left += await ClearAsync(server, connection.GetDatabase(), cancellation);
            await connection.GetSubscriber().PublishAsync(Channel, RedisValue.EmptyString).WaitAsync(Patience, cancellation);
            return left;
        }
        catch (Exception exception) when (exception is RedisException or TimeoutException or ObjectDisposedException)
        {
            throw new FlamingoException(FlamingoErrorKind.Unavailable, $"Redis does not answer, its latents stay: {exception.Message} The memory of this gateway has been emptied.", exception);
        }
    }

    // SCAN, not KEYS, and UNLINK, not DEL: others are served meanwhile
    private async Task<long> ClearAsync(IServer server, IDatabase database, CancellationToken cancellation)
    {
        var (left, batch) = (0L, new List<RedisKey>());
        await server.PingAsync().WaitAsync(Patience, cancellation); // a silent server is found out before a scan waits for it
        await foreach (var key in server.KeysAsync(database.Database, Pattern(_options.InstanceName), pageSize: 1000).WithCancellation(cancellation))
        {
            batch.Add(key);
            if (batch.Count == 1000) await UnlinkAsync();
        }

        await UnlinkAsync();
        return left;

        async Task UnlinkAsync()
        {
            // one by one: in a cluster they live in different slots
            left += (await Task.WhenAll(batch.Select(key => database.KeyDeleteAsync(key))).WaitAsync(Patience, cancellation)).Count(deleted => deleted);
            batch.Clear();
        }
    }

    // the multiplexer subscribes again whenever it connects again
    private async Task ListenAsync()
    {
        try
        {
            var connection = await _connection.ConnectAsync();
            await connection.GetSubscriber().SubscribeAsync(Channel, (_, _) => _memory.Clear());
        }
        catch (Exception exception) when (exception is RedisException or TimeoutException or ObjectDisposedException)
        {
            // not there yet: the handler stays with the multiplexer all the same
        }
    }

    private static string Pattern(string prefix) =>
        string.Concat(prefix.Select(character => Wildcards.Contains(character) ? $"\\{character}" : $"{character}")) + "*";

    private static readonly SearchValues<char> Wildcards = SearchValues.Create("*?[]^\\");
}
