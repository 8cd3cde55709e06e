using Flamingo.Abstractions;
using Flamingo.Configuration;
using Flamingo.Gateway.Admission;
using Flamingo.Gateway.Delivery;
using Flamingo.Gateway.Eviction;
using Flamingo.Gateway.Latents;
using Flamingo.Gateway.Operations;
using Flamingo.Gateway.Prompts;
using Flamingo.Gateway.Redis;
using Flamingo.Gateway.Stages;
using Flamingo.Gateway.SupportSets;
using Flamingo.Gateway.Tasks;
using Flamingo.Stages;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;

namespace Flamingo.Gateway;

public static class GatewayRegistration
{
    /// <summary>Registers the public service on top of the registered stages, local or remote.</summary>
    public static IServiceCollection AddGatewayPipeline(this IServiceCollection services)
    {
        services.AddOptionSection<GatewayOptions>(GatewayOptions.Section);
        services.AddOptionSection<RedisOptions>(RedisOptions.Section).Validate(
            // The message does not quote the string, because it may hold a password.
            options => RedisConnection.IsConnectionString(options.ConnectionString),
            "Redis:ConnectionString is not a connection string. Give host:port and options separated by commas, such as "
            + "localhost:6379,ssl=true; an empty string turns Redis off.");
        services.TryAddSingleton(TimeProvider.System);
        services.TryAddSingleton<ISeedSource, SystemSeedSource>();
        services.AddSingleton<RequestPermits>();
        services.AddSingleton<StageDescriptions>();
        services.AddSingleton<IReadiness, StageReadiness>();
        services.AddLatentCache();
        services.AddSingleton(Gateway);
        services.AddSingleton<PromptResolver>();
        services.AddSingleton<LatentDelivery>();
        services.AddSingleton<IFlamingo, GenerationPipeline>();
        services.AddSingleton<ITasks, TemplateTasks>();
        services.AddSupportSets();
        services.AddHostedService<GatewayStart>();
        return services;
    }

    private static GatewayOptions Gateway(IServiceProvider provider) => provider.GetRequiredService<IOptions<GatewayOptions>>().Value;

    private static RedisOptions Redis(IServiceProvider provider) => provider.GetRequiredService<IOptions<RedisOptions>>().Value;

    private static void AddLatentCache(this IServiceCollection services)
    {
        services.AddSingleton(Redis);
        services.AddSingleton(provider => new MemoryClaim(
            "gateway", [new("latent cache", Gateway(provider).MemoryCacheBytes, "lower Gateway:MemoryCacheBytes")]));
        services.AddSingleton(provider => new TinyLfuCache<LatentValue>(Gateway(provider).MemoryCacheBytes, value => value.ElementBytes));
        services.AddSingleton<RedisConnection>();
        services.AddSingleton<RedisTier>();
        services.AddSingleton<LatentEncoder>();
        services.AddSingleton<LatentCache>();
        services.AddSingleton<LatentCacheCounters>();
        services.AddSingleton<RedisClearing>();
        services.AddSingleton<LatentCacheOperations>();
        services.AddSingleton<GatewayMetrics>();
        services.AddSingleton<ILatentCacheOperations>(provider =>
        {
            provider.GetRequiredService<GatewayMetrics>(); // creating the meter starts its export
            return provider.GetRequiredService<LatentCacheOperations>();
        });
    }
}
