using System.Runtime.CompilerServices;
using Flamingo.Stages;
using Flamingo.Transport.Remote.Affinity;
using Flamingo.Transport.Wire;
using Grpc.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Transport.Remote;

/// <summary>The vision encoder behind a channel.</summary>
public sealed class RemoteVisionEncoder(V1.VisionEncoder.VisionEncoderClient client) : IVisionEncoder
{
    public Task<VisionEncoderDescription> DescribeAsync(CancellationToken cancellation) => RemoteCall.RunAsync("VisionEncoder", cancellation, async () =>
        (await client.DescribeAsync(new V1.DescribeVisionEncoderRequest(), cancellationToken: cancellation)).ToRecord());

    public Task<VisionEncoding> EncodeAsync(VisionEncodeRequest request, CancellationToken cancellation) => RemoteCall.RunAsync("VisionEncoder", cancellation, async () =>
    {
        var message = new V1.EncodePicturesRequest { IncludePooled = request.IncludePooled };
        message.Pictures.AddRange(request.Pictures.Select(picture => picture.ToByteString()));
        var response = await client.EncodeAsync(message, cancellationToken: cancellation);
        return new VisionEncoding(response.WeightsDigest, [.. response.Pictures.Select(picture => new PictureFeatures(picture.Features.ToRecord("features"), picture.Pooled?.ToRecord("pooled")))]);
    });
}

/// <summary>The resampler behind a channel.</summary>
public sealed class RemoteResampler(V1.Resampler.ResamplerClient client) : IResampler
{
    public Task<ResamplerDescription> DescribeAsync(CancellationToken cancellation) => RemoteCall.RunAsync("Resampler", cancellation, async () =>
        (await client.DescribeAsync(new V1.DescribeResamplerRequest(), cancellationToken: cancellation)).ToRecord());

    public Task<Resampling> ResampleAsync(ResampleRequest request, CancellationToken cancellation) => RemoteCall.RunAsync("Resampler", cancellation, async () =>
        (await client.ResampleAsync(request.ToMessage(), cancellationToken: cancellation)).ToRecord());
}

/// <summary>The language model behind a channel that chooses replicas by the prompt's beginning.</summary>
/// <param name="load">The channel's: it tells the balancer of every call.</param>
public sealed class RemoteLanguageModel(V1.LanguageModel.LanguageModelClient client, ReplicaLoad load) : ILanguageModel
{
    public Task<LanguageModelDescription> DescribeAsync(CancellationToken cancellation) => RemoteCall.RunAsync("LanguageModel", cancellation, async () =>
        (await client.DescribeAsync(new V1.DescribeLanguageModelRequest(), cancellationToken: cancellation)).ToRecord());

    public async IAsyncEnumerable<GenerationEvent> GenerateAsync(LanguageModelRequest request, [EnumeratorCancellation] CancellationToken cancellation)
    {
        using var begun = load.Begin(PromptAffinity.Key(request.Tenant, request.Segments));
        using var call = client.Generate(request.ToMessage(), begun.Headers, cancellationToken: cancellation);
        await foreach (var item in RemoteCall.ReadAsync(call, "LanguageModel", cancellation)) yield return item.ToRecord();
    }

    public Task<Ranking> RankAsync(RankRequest request, CancellationToken cancellation) => RemoteCall.RunAsync("LanguageModel", cancellation, async () =>
    {
        using var begun = load.Begin(PromptAffinity.Key(request.Tenant, request.Segments));
        return (await client.RankAsync(request.ToMessage(), begun.Headers, cancellationToken: cancellation)).ToRecord();
    });

    public Task<IReadOnlyList<int>> TokenizeAsync(IReadOnlyList<PromptSegment> segments, CancellationToken cancellation) => RemoteCall.RunAsync<IReadOnlyList<int>>("LanguageModel", cancellation, async () =>
    {
        var message = new V1.TokenizeRequest();
        message.Segments.AddRange(segments.Select(LanguageWire.ToMessage));
        return [.. (await client.TokenizeAsync(message, cancellationToken: cancellation)).Ids];
    });
}

public static class RemoteStagesRegistration
{
    /// <summary>The three stages over gRPC, where AddXStage() would put them into this process.</summary>
    public static IServiceCollection AddRemoteStages(this IServiceCollection services)
    {
        services.AddOptions<RemoteStageOptions>().BindConfiguration(RemoteStageOptions.Section).ValidateDataAnnotations().ValidateOnStart();
        services.AddSingleton<IVisionEncoder>(provider => new RemoteVisionEncoder(new(Invoker(provider, options => options.VisionEncoder))));
        services.AddSingleton<IResampler>(provider => new RemoteResampler(new(Invoker(provider, options => options.Resampler))));
        services.AddSingleton<ILanguageModel>(provider =>
        {
            var (options, load) = (Options(provider), new ReplicaLoad());
            return new RemoteLanguageModel(new(StageChannel.Open(options.LanguageModel, options, new AffinityBalancerFactory(load, options.LanguageModelSpill))), load);
        });
        return services;
    }

    private static CallInvoker Invoker(IServiceProvider provider, Func<RemoteStageOptions, string> address) =>
        StageChannel.Open(address(Options(provider)), Options(provider)).CreateCallInvoker();

    private static RemoteStageOptions Options(IServiceProvider provider) => provider.GetRequiredService<IOptions<RemoteStageOptions>>().Value;
}
