using Flamingo.Gateway.Operations;
using Flamingo.Gateway.Redis;
using Flamingo.Gateway.SupportSets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Flamingo.Gateway;

/// <summary>
/// Connects to Redis and logs the limits and the size of the cache when the process starts, and not at the first request. It resolves these
/// services only in StartAsync, because the host creates this object before it has validated the options.
/// </summary>
internal sealed class GatewayStart(IServiceProvider services) : IHostedService
{
    public Task StartAsync(CancellationToken cancellationToken)
    {
        var limits = services.GetRequiredService<GatewayOptions>();
        GatewayLog.Limits(
            services.GetRequiredService<ILogger<GenerationPipeline>>(), limits.MaxConcurrentRequests, limits.MaxQueuedRequests,
            limits.MaxPicturesPerRequest, limits.OperatorCalls);
        var cache = services.GetRequiredService<LatentCacheOperations>();
        LatentCacheLog.Started(services.GetRequiredService<ILogger<LatentCacheOperations>>(), cache.Read().Memory.MaxBytes);
        var sets = services.GetRequiredService<SupportSetRedis>().Connection;
        if (!sets.IsOn && !services.GetRequiredService<RedisConnection>().IsOn) return Task.CompletedTask;
        var log = services.GetRequiredService<ILogger<RedisConnection>>();
        if (!services.GetRequiredService<IntegritySeal>().IsKeyed) RedisLog.NoIntegrityKey(log);
        if (services.GetRequiredService<GatewayOptions>().TenantSalt.Length == 0) RedisLog.NoTenantSalt(log);
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
