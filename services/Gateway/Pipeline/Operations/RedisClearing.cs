using System.Buffers;
using Flamingo.Abstractions;
using Flamingo.Gateway.Eviction;
using Flamingo.Gateway.Latents;
using Flamingo.Gateway.Redis;
using Microsoft.Extensions.Logging;
using StackExchange.Redis;

namespace Flamingo.Gateway.Operations;

/// <summary>
/// Empties the latent cache of an installation: the latents in Redis, and by a message the memory of every gateway that uses it. A
/// gateway that has no connection meanwhile keeps its memory. That is not wrong: a key never stands for latents of other weights.
/// </summary>
public sealed class RedisClearing
{
    // Of one step. It is more than a lookup may take, because an operator waits for the answer and no client does.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private readonly RedisConnection _connection;
    private readonly TinyLfuCache<LatentValue> _memory;
    private readonly RedisOptions _options;
    private readonly ILogger<RedisClearing> _logger;

    public RedisClearing(
        RedisConnection connection, TinyLfuCache<LatentValue> memory, RedisOptions options, ILogger<RedisClearing> logger)
    {
        (_connection, _memory, _options, _logger) = (connection, memory, options, logger);
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
            throw new FlamingoException(
                FlamingoErrorKind.Unavailable,
                $"Redis does not answer, its latents stay: {exception.Message} The memory of this gateway has been emptied.", exception);
        }
    }

    // By SCAN and UNLINK, not KEYS and DEL, so that Redis serves others meanwhile.
    private async Task<long> ClearAsync(IServer server, IDatabase database, CancellationToken cancellation)
    {
        var (left, batch) = (0L, new List<RedisKey>());
        await server.PingAsync().WaitAsync(Patience, cancellation); // the scan itself would wait longer for a silent server
        var keys = server.KeysAsync(database.Database, Pattern(_options.InstanceName), pageSize: 1000);
        await foreach (var key in keys.WithCancellation(cancellation))
        {
            batch.Add(key);
            if (batch.Count == 1000) await UnlinkAsync();
        }

        await UnlinkAsync();
        return left;

        async Task UnlinkAsync()
        {
            // A command for each: in a cluster they live in different slots.
            var deleted = await Task.WhenAll(batch.Select(key => database.KeyDeleteAsync(key))).WaitAsync(Patience, cancellation);
            left += deleted.Count(wasThere => wasThere);
            batch.Clear();
        }
    }

    // The multiplexer subscribes again whenever it connects again.
    private async Task ListenAsync()
    {
        try
        {
            var connection = await _connection.ConnectAsync();
            await connection.GetSubscriber().SubscribeAsync(Channel, (_, _) => LatentCacheLog.ClearedByMessage(_logger, _memory.Clear()));
        }
        catch (Exception exception) when (exception is RedisException or TimeoutException or ObjectDisposedException)
        {
            // Redis is not there yet. The multiplexer keeps the handler all the same.
        }
    }

    private static string Pattern(string prefix) =>
        string.Concat(prefix.Select(character => Wildcards.Contains(character) ? $"\\{character}" : $"{character}")) + "*";

    private static readonly SearchValues<char> Wildcards = SearchValues.Create("*?[]^\\");
}
