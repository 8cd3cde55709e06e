using Flamingo.Gateway.Redis;
using StackExchange.Redis;

namespace Flamingo.Gateway.SupportSets;

/// <summary>The connection to the Redis instance that holds the support sets.</summary>
/// <param name="Connection">The connection.</param>
/// <param name="IsOwn">Whether the instance holds nothing but support sets; otherwise it also holds latents.</param>
internal sealed record SupportSetRedis(RedisConnection Connection, bool IsOwn) : IAsyncDisposable, IDisposable
{
    public async Task<IDatabase> ConnectAsync() => (await Connection.ConnectAsync()).GetDatabase();

    public ValueTask DisposeAsync() => IsOwn ? Connection.DisposeAsync() : ValueTask.CompletedTask;

    public void Dispose()
    {
        if (IsOwn) Connection.Dispose();
    }
}
