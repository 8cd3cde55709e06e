using Flamingo.Abstractions;
using Flamingo.Client;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Registers a client of a Flamingo server.</summary>
public static class FlamingoClientRegistration
{
    /// <param name="address">For example <c>http://localhost:8080</c>; see <see cref="FlamingoClientOptions.Addresses"/>.</param>
    /// <inheritdoc cref="AddFlamingoClient(IServiceCollection, Action{IServiceProvider, FlamingoClientOptions})"/>
    public static IServiceCollection AddFlamingoClient(this IServiceCollection services, string address)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(address);
        return services.AddFlamingoClient((_, options) => options.Addresses = [address]);
    }

    /// <inheritdoc cref="AddFlamingoClient(IServiceCollection, Action{IServiceProvider, FlamingoClientOptions})"/>
    public static IServiceCollection AddFlamingoClient(this IServiceCollection services, Action<FlamingoClientOptions> configure)
    {
        ArgumentNullException.ThrowIfNull(configure);
        return services.AddFlamingoClient((_, options) => configure(options));
    }

    /// <summary>
    /// Adds one <see cref="FlamingoClient"/>, which is disposed with the container, and its interfaces <see cref="IFlamingo"/>,
    /// <see cref="ITasks"/>, <see cref="ISupportSets"/>, <see cref="ILatentCacheOperations"/>, <see cref="IChatClient"/> and
    /// <see cref="IEmbeddingGenerator{TInput, TEmbedding}"/> of pictures. An interface that is registered already stays as it is, so that a
    /// fake may come first; the last two are made of the <see cref="IFlamingo"/> of the container. The logger factory and the
    /// <see cref="TimeProvider"/> are those of the container where it has them.
    /// </summary>
    /// <param name="configure">
    /// Sets options. It runs when the client is first asked for, and an invalid option is an <see cref="ArgumentException"/> then.
    /// </param>
    /// <exception cref="InvalidOperationException">There is a client already.</exception>
    public static IServiceCollection AddFlamingoClient(
        this IServiceCollection services, Action<IServiceProvider, FlamingoClientOptions> configure)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(configure);
        if (services.Any(service => service.ServiceType == typeof(FlamingoClient) && !service.IsKeyedService))
            throw new InvalidOperationException(
                "AddFlamingoClient was called before. Give one client several addresses, or add a further one with AddKeyedSingleton.");
        services.AddSingleton(provider =>
        {
            var options = new FlamingoClientOptions();
            if (provider.GetService<ILoggerFactory>() is { } loggers) options.LoggerFactory = loggers;
            if (provider.GetService<TimeProvider>() is { } time) options.TimeProvider = time;
            configure(provider, options);
            return new FlamingoClient(options);
        });
        services.TryAddSingleton<IFlamingo>(provider => provider.GetRequiredService<FlamingoClient>());
        services.TryAddSingleton<ITasks>(provider => provider.GetRequiredService<FlamingoClient>());
        services.TryAddSingleton<ISupportSets>(provider => provider.GetRequiredService<FlamingoClient>());
        services.TryAddSingleton<ILatentCacheOperations>(provider => provider.GetRequiredService<FlamingoClient>());
        services.TryAddSingleton(provider =>
            provider.GetRequiredService<IFlamingo>().AsChatClient(provider.GetService<TimeProvider>()));
        services.TryAddSingleton(provider =>
            provider.GetRequiredService<IFlamingo>().AsPictureEmbeddingGenerator(provider.GetService<TimeProvider>()));
        return services;
    }
}
