using Flamingo.Gateway.Prompts;
using Flamingo.Stages;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace Flamingo.Gateway.SupportSets;

internal static class SupportSetRegistration
{
    public static IServiceCollection AddSupportSets(this IServiceCollection services)
    {
        services.AddOptions<SupportSetOptions>().BindConfiguration(SupportSetOptions.Section).ValidateDataAnnotations().ValidateOnStart();
        services.AddSingleton(provider => provider.GetRequiredService<IOptions<SupportSetOptions>>().Value);
        services.AddSingleton<ISupportSetStore, MemorySupportSetStore>();
        services.AddSingleton<SupportSetShots>();
        services.AddSingleton<PromptResolver>();
        services.AddSingleton<ISupportSets, SupportSetCollection>();
        return services;
    }
}
