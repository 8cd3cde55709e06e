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
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Flamingo.Gateway;

public static class GatewayRegistration
{
    /// <summary>Registers the public service on top of the registered stages, local or remote.</summary>
    public static IServiceCollection AddGatewayPipeline(this IServiceCollection services)
    {
        services.AddOptionSection<GatewayOptions>(GatewayOptions.Section);
        services.AddOptionSection<RedisOptions>(RedisOptions.Section)
            .Validate(
                options => RedisConnection.IsConnectionString(options.ConnectionString),
                RedisConnection.Explain("Redis:ConnectionString", "an empty string turns Redis off"))
            .Validate(
                options => options.IntegrityKey.Length is 0 or >= IntegritySeal.LeastKeyCharacters, // the message does not quote the key
                $"Redis:IntegrityKey has fewer than {IntegritySeal.LeastKeyCharacters} characters. Give a longer random text; an empty "
                + "string seals without a key.");
        services.AddSingleton<IValidateOptions<RedisOptions>, RedisTlsRules>();
        services.TryAddSingleton(TimeProvider.System);
        services.TryAddSingleton<ISeedSource, SystemSeedSource>();
        services.AddSingleton<RequestPermits>();
        services.AddSingleton<StageDescriptions>();
        services.AddSingleton<IReadiness, StageReadiness>();
        services.AddLatentCache();
        services.AddSingleton(Gateway);
        services.AddSingleton(provider => new OperatorCalls(Gateway(provider).OperatorCalls));
        services.AddSingleton<PromptResolver>();
        services.AddSingleton<LatentDelivery>();
        services.AddSingleton<IFlamingo, GenerationPipeline>();
        services.AddSingleton<ITasks, TemplateTasks>();
        services.AddSupportSets();
        services.AddHostedService<GatewayStart>();
        return services;
    }

    private static GatewayOptions Gateway(IServiceProvider provider) => provider.GetRequiredService<IOptions<GatewayOptions>>().Value;

    private static ILogger<T> Logger<T>(IServiceProvider provider) => provider.GetRequiredService<ILogger<T>>();

    private static RedisOptions Redis(IServiceProvider provider) => provider.GetRequiredService<IOptions<RedisOptions>>().Value;

    private static void AddLatentCache(this IServiceCollection services)
    {
        services.AddSingleton(Redis);
        services.AddSingleton(provider => new MemoryClaim(
            "gateway", [new("latent cache", Gateway(provider).MemoryCacheBytes, "lower Gateway:MemoryCacheBytes")]));
        services.AddSingleton(provider => new TinyLfuCache<LatentValue>(Gateway(provider).MemoryCacheBytes, value => value.ElementBytes));
        services.AddSingleton(provider => new IntegritySeal(Redis(provider).IntegrityKey));
        services.AddSingleton(provider =>
            new RedisConnection(Redis(provider), provider.GetRequiredService<TimeProvider>(), Logger<RedisConnection>(provider)));
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
