using System.Buffers;
using Flamingo.Abstractions;
using Flamingo.Gateway.Eviction;
using Flamingo.Gateway.Latents;
using Flamingo.Gateway.Redis;
using Microsoft.Extensions.Logging;
using StackExchange.Redis;

namespace Flamingo.Gateway.Operations;

/// <summary>
/// Clears the latent cache of an installation: it deletes the latents in Redis, and by a message makes every connected gateway
/// clear its memory. A gateway that is not connected at that time keeps its memory. Its answers stay correct, because a key
/// identifies the weights that computed the latents.
/// </summary>
public sealed class RedisClearing
{
    // Longest time of one step. It is longer than the budget of a lookup, because an operator and not a client waits for the answer.
    private static readonly TimeSpan StepTimeout = TimeSpan.FromSeconds(5);

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

    /// <returns>Number of entries deleted from Redis.</returns>
    /// <exception cref="FlamingoException">Unavailable: Redis does not answer.</exception>
    public async Task<long> ClearAsync(CancellationToken cancellation)
    {
        try
        {
            var connection = await _connection.ConnectAsync().WaitAsync(cancellation);
            var servers = connection.GetServers().Where(server => !server.IsReplica).ToList();
            if (servers.Count == 0 || !servers.All(server => server.IsConnected)) throw new TimeoutException("A server is not connected.");
            var count = 0L;
            foreach (var server in servers) count += await ClearAsync(server, connection.GetDatabase(), cancellation);
            await connection.GetSubscriber().PublishAsync(Channel, RedisValue.EmptyString).WaitAsync(StepTimeout, cancellation);
            return count;
        }
        catch (Exception exception) when (exception is RedisException or TimeoutException or ObjectDisposedException)
        {
            throw new FlamingoException(
                FlamingoErrorKind.Unavailable,
                $"Redis does not answer and keeps its latents: {exception.Message} The memory of this gateway has been emptied.",
                exception);
        }
    }

    // Uses SCAN and UNLINK instead of KEYS and DEL, so that Redis can serve other commands meanwhile.
    private async Task<long> ClearAsync(IServer server, IDatabase database, CancellationToken cancellation)
    {
        var (count, batch) = (0L, new List<RedisKey>());
        // a silent server is detected here, because the scan would wait longer
        await server.PingAsync().WaitAsync(StepTimeout, cancellation);
        var keys = server.KeysAsync(database.Database, Pattern(_options.InstanceName), pageSize: 1000);
        await foreach (var key in keys.WithCancellation(cancellation))
        {
            batch.Add(key);
            if (batch.Count == 1000) await UnlinkAsync();
        }

        await UnlinkAsync();
        return count;

        async Task UnlinkAsync()
        {
            // Each key gets its own command, because keys belong to different slots of a cluster.
            var deleted = await Task.WhenAll(batch.Select(key => database.KeyDeleteAsync(key))).WaitAsync(StepTimeout, cancellation);
            count += deleted.Count(existed => existed);
            batch.Clear();
        }
    }

    // The multiplexer renews the subscription after each reconnect.
    private async Task ListenAsync()
    {
        try
        {
            var connection = await _connection.ConnectAsync();
            await connection.GetSubscriber().SubscribeAsync(Channel, (_, _) => LatentCacheLog.ClearedByMessage(_logger, _memory.Clear()));
        }
        catch (Exception exception) when (exception is RedisException or TimeoutException or ObjectDisposedException)
        {
            // Redis cannot be reached yet. The multiplexer keeps the handler and subscribes later.
        }
    }

    private static string Pattern(string prefix) =>
        string.Concat(prefix.Select(character => Wildcards.Contains(character) ? $"\\{character}" : $"{character}")) + "*";

    private static readonly SearchValues<char> Wildcards = SearchValues.Create("*?[]^\\");
}
