using Flamingo.Abstractions;
using Flamingo.Stages;
using Flamingo.Transport.Serving.Arrival;
using Flamingo.Wire;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;

namespace Flamingo.Transport.Serving;

/// <summary>Maps stages to gRPC endpoints. Mapping resolves the stage, so that a damaged model prevents the start.</summary>
public static class StageEndpoints
{
    /// <summary>Registers gRPC with Flamingo's message size limits and error mapping.</summary>
    public static IServiceCollection AddStageServing(this IServiceCollection services)
    {
        services.AddGrpc(options =>
        {
            options.Interceptors.Add<StageErrorInterceptor>();
            options.MaxReceiveMessageSize = MessageLimits.MostBytes;
            options.MaxSendMessageSize = MessageLimits.MostBytes;
        });
        services.AddRequestArrival();
        return services;
    }

    public static WebApplication MapVisionEncoder(this WebApplication app) => app.Map<IVisionEncoder, VisionEncoderService>();

    public static WebApplication MapResampler(this WebApplication app) => app.Map<IResampler, ResamplerService>();

    public static WebApplication MapLanguageModel(this WebApplication app) => app.Map<ILanguageModel, LanguageModelService>();

    /// <summary>
    /// Maps the public service, and also tasks, support sets and the latent cache operations if they are registered.
    /// </summary>
    public static WebApplication MapFlamingo(this WebApplication app)
    {
        if (app.Services.GetService<ITasks>() is not null) app.Map<ITasks, TasksService>();
        if (app.Services.GetService<ISupportSets>() is not null) app.Map<ISupportSets, SupportSetsService>();
        if (app.Services.GetService<ILatentCacheOperations>() is not null) app.Map<ILatentCacheOperations, LatentCacheService>();
        return app.Map<IFlamingo, FlamingoService>();
    }

    private static WebApplication Map<TStage, TService>(this WebApplication app)
        where TStage : notnull
        where TService : class
    {
        app.Services.GetRequiredService<TStage>();
        app.MapGrpcService<TService>();
        return app;
    }
}
