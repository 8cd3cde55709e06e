using Flamingo.Abstractions;
using Flamingo.Configuration;
using Flamingo.Gateway.Redis;
using Flamingo.Stages;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using StackExchange.Redis;

namespace Flamingo.Gateway.SupportSets;

internal static class SupportSetRegistration
{
    public static IServiceCollection AddSupportSets(this IServiceCollection services)
    {
        services.AddOptionSection<SupportSetOptions>(SupportSetOptions.Section);
        services.AddSingleton(provider => provider.GetRequiredService<IOptions<SupportSetOptions>>().Value);
        services.AddSingleton<ISupportSetStore>(provider => !provider.GetRequiredService<RedisConnection>().IsOn
            ? ActivatorUtilities.CreateInstance<MemorySupportSetStore>(provider)
            : ActivatorUtilities.CreateInstance<RedisSupportSetStore>(
                provider,
                async Task<IDatabase> () => (await provider.GetRequiredService<RedisConnection>().ConnectAsync()).GetDatabase()));
        services.AddSingleton<SupportSetShots>();
        services.AddSingleton<ISupportSets, SupportSetCollection>();
        return services;
    }
}
