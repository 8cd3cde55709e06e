using System.Runtime.CompilerServices;
using Flamingo.Stages;
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

/// <summary>The language model behind a channel.</summary>
public sealed class RemoteLanguageModel(V1.LanguageModel.LanguageModelClient client) : ILanguageModel
{
    public Task<LanguageModelDescription> DescribeAsync(CancellationToken cancellation) => RemoteCall.RunAsync("LanguageModel", cancellation, async () =>
        (await client.DescribeAsync(new V1.DescribeLanguageModelRequest(), cancellationToken: cancellation)).ToRecord());

    public async IAsyncEnumerable<GenerationEvent> GenerateAsync(LanguageModelRequest request, [EnumeratorCancellation] CancellationToken cancellation)
    {
        using var call = client.Generate(request.ToMessage(), cancellationToken: cancellation);
        await foreach (var item in RemoteCall.ReadAsync(call, "LanguageModel", cancellation)) yield return item.ToRecord();
    }

    public Task<Ranking> RankAsync(RankRequest request, CancellationToken cancellation) => RemoteCall.RunAsync("LanguageModel", cancellation, async () =>
        (await client.RankAsync(request.ToMessage(), cancellationToken: cancellation)).ToRecord());

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
        services.AddSingleton<ILanguageModel>(provider => new RemoteLanguageModel(new(Invoker(provider, options => options.LanguageModel))));
        return services;
    }

    private static CallInvoker Invoker(IServiceProvider provider, Func<RemoteStageOptions, string> address)
    {
        var options = provider.GetRequiredService<IOptions<RemoteStageOptions>>().Value;
        return StageChannel.Open(address(options), options).CreateCallInvoker();
    }
}
