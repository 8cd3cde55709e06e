using Flamingo.Gateway.Admission;
using Flamingo.Gateway.Delivery;
using Flamingo.Gateway.LatentCache;
using Flamingo.Gateway.Pictures;
using Flamingo.Gateway.Stages;
using Flamingo.Gateway.SupportSets;
using Flamingo.Stages;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.Caching.StackExchangeRedis;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using StackExchange.Redis;

namespace Flamingo.Gateway;

public static class GatewayRegistration
{
    /// <summary>The public face over whatever stages are registered, local or remote.</summary>
    public static IServiceCollection AddGatewayPipeline(this IServiceCollection services)
    {
        services.AddOptions<GatewayOptions>().BindConfiguration(GatewayOptions.Section).ValidateDataAnnotations().ValidateOnStart();
        services.AddOptions<RedisOptions>().BindConfiguration(RedisOptions.Section).ValidateDataAnnotations().ValidateOnStart();
        services.TryAddSingleton(TimeProvider.System);
        services.TryAddSingleton<ISeedSource, SystemSeedSource>();
        services.AddSingleton(provider => new RequestPermits(Gateway(provider)));
        services.AddSingleton(provider => new MemoryLatentCache(Gateway(provider).MemoryCacheBytes));
        services.AddSingleton<StageDescriptions>();
        services.AddSingleton(provider => new LatentTiers(provider.GetRequiredService<MemoryLatentCache>(), Redis(provider)));
        services.AddSingleton(Gateway);
        services.AddSingleton<LatentLookup>();
        services.AddSingleton<LatentEncoder>();
        services.AddSingleton<LatentResolver>();
        services.AddSingleton<LatentDelivery>();
        services.AddSingleton<IFlamingo, GenerationPipeline>();
        services.TryAddSingleton(provider => ActivatorUtilities.CreateInstance<RedisConnection>(provider, provider.GetRequiredService<IOptions<RedisOptions>>().Value));
        services.AddSupportSets();
        return services;
    }

    private static GatewayOptions Gateway(IServiceProvider provider) => provider.GetRequiredService<IOptions<GatewayOptions>>().Value;

    private static RedisLatentCache? Redis(IServiceProvider provider)
    {
        var options = provider.GetRequiredService<IOptions<RedisOptions>>().Value;
        if (options.ConnectionString.Length == 0) return null;
        return new RedisLatentCache(NewCache(options), options, provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<RedisLatentCache>>());
    }

    /// <summary>One multiplexer that connects by itself when Redis appears, and fails fast while it is gone.</summary>
    public static IDistributedCache NewCache(RedisOptions options)
    {
        var configuration = ConfigurationOptions.Parse(options.ConnectionString);
        configuration.AbortOnConnectFail = false;
        configuration.BacklogPolicy = BacklogPolicy.FailFast;
        configuration.ConnectTimeout = 1000;
        var connection = new Lazy<Task<IConnectionMultiplexer>>(async () => await ConnectionMultiplexer.ConnectAsync(configuration));
        _ = connection.Value; // begins now, so that the first lookup finds it connected
        return new RedisCache(new RedisCacheOptions { ConnectionMultiplexerFactory = () => connection.Value, InstanceName = options.InstanceName });
    }
}
