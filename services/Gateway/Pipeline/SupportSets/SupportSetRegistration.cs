using Flamingo.Abstractions;
using Flamingo.Configuration;
using Flamingo.Gateway.Redis;
using Flamingo.Stages;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using StackExchange.Redis;

namespace Flamingo.Gateway.SupportSets;

internal static class SupportSetRegistration
{
    public static IServiceCollection AddSupportSets(this IServiceCollection services)
    {
        services.AddOptionSection<SupportSetOptions>(SupportSetOptions.Section)
            .Validate(options => RedisConnection.IsConnectionString(options.ConnectionString), RedisConnection.Explain(
                "SupportSets:ConnectionString", "an empty string stores support sets where Redis:ConnectionString says"))
            .Validate<IConfiguration>(
                (options, configuration) => options.ConnectionString.Length > 0
                    || !IsPrefixOfBoth(new OptionSection<RedisOptions>(configuration, RedisOptions.Section).Read(), options),
                "SupportSets:InstanceName begins with Redis:InstanceName, so that clearing the latent cache would delete the support sets. "
                + "Give prefixes of which none begins with the other, or a SupportSets:ConnectionString.");
        services.AddSingleton(provider => provider.GetRequiredService<IOptions<SupportSetOptions>>().Value);
        services.AddSingleton(provider => new MemoryClaim("support sets",
        [
            new(
                "sets in memory", provider.GetRequiredService<SupportSetOptions>().MaxMemoryBytes, "lower SupportSets:MaxMemoryBytes"),
            new("recomputed embeddings", SupportSetShots.MostEmbeddedBytes, null),
        ]));
        services.AddSingleton(Connection);
        services.AddSingleton<ISupportSetStore>(provider =>
            provider.GetRequiredService<SupportSetRedis>() is { Connection.IsOn: true } redis
                ? ActivatorUtilities.CreateInstance<RedisSupportSetStore>(provider, (Func<Task<IDatabase>>)redis.ConnectAsync)
                : ActivatorUtilities.CreateInstance<MemorySupportSetStore>(provider));
        services.AddSingleton<SupportSetShots>();
        services.AddSingleton<ISupportSets, SupportSetCollection>();
        return services;
    }

    private static bool IsPrefixOfBoth(RedisOptions redis, SupportSetOptions sets) =>
        redis.ConnectionString.Length > 0 && sets.InstanceName.StartsWith(redis.InstanceName, StringComparison.Ordinal);

    private static SupportSetRedis Connection(IServiceProvider provider)
    {
        var own = provider.GetRequiredService<SupportSetOptions>().ConnectionString;
        var redis = provider.GetRequiredService<RedisOptions>();
        return own.Length == 0
            ? new SupportSetRedis(provider.GetRequiredService<RedisConnection>(), IsOwn: false)
            : new SupportSetRedis(
                ActivatorUtilities.CreateInstance<RedisConnection>(
                    provider,
                    new RedisOptions
                    {
                        ConnectionString = own, CaFile = redis.CaFile, CertificateFile = redis.CertificateFile, KeyFile = redis.KeyFile,
                    },
                    "support sets can be neither changed nor read"),
                IsOwn: true);
    }
}
