using Flamingo.Gateway.Operations;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Flamingo.Gateway;

/// <summary>
/// Connects to Redis when the process starts, rather than at its first request, and logs what the gateway works with. The services are
/// asked for no sooner, because a host makes this object before it has checked the options.
/// </summary>
internal sealed class GatewayStart(IServiceProvider services) : IHostedService
{
    public Task StartAsync(CancellationToken cancellationToken)
    {
        var cache = services.GetRequiredService<LatentCacheOperations>();
        LatentCacheLog.Started(services.GetRequiredService<ILogger<LatentCacheOperations>>(), cache.Read().Memory.MaxBytes);
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
