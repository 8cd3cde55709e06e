using System.Runtime.CompilerServices;
using Flamingo.Stages;
using Flamingo.Transport.Wire;
using Grpc.Net.Client;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Transport.Remote;

/// <summary>The vision encoder behind a channel.</summary>
internal sealed class RemoteVisionEncoder(V1.VisionEncoder.VisionEncoderClient client, RemoteCalls calls) : IVisionEncoder
{
    public Task<VisionEncoderDescription> DescribeAsync(CancellationToken cancellation) => calls.RunAsync(cancellation, async () =>
        (await client.DescribeAsync(new V1.DescribeVisionEncoderRequest(), cancellationToken: cancellation)).ToRecord());

    public Task<VisionEncoding> EncodeAsync(VisionEncodeRequest request, CancellationToken cancellation) => calls.RunAsync(cancellation, async () =>
    {
        var message = new V1.EncodePicturesRequest { IncludePooled = request.IncludePooled };
        message.Pictures.AddRange(request.Pictures.Select(picture => picture.ToByteString()));
        var response = await client.EncodeAsync(message, cancellationToken: cancellation);
        return new VisionEncoding(response.WeightsDigest, [.. response.Pictures.Select(picture => new PictureFeatures(picture.Features.ToRecord("features"), picture.Pooled?.ToRecord("pooled")))]);
    });
}

/// <summary>The resampler behind a channel.</summary>
internal sealed class RemoteResampler(V1.Resampler.ResamplerClient client, RemoteCalls calls) : IResampler
{
    public Task<ResamplerDescription> DescribeAsync(CancellationToken cancellation) => calls.RunAsync(cancellation, async () =>
        (await client.DescribeAsync(new V1.DescribeResamplerRequest(), cancellationToken: cancellation)).ToRecord());

    public Task<Resampling> ResampleAsync(IReadOnlyList<TensorData> features, CancellationToken cancellation) => calls.RunAsync(cancellation, async () =>
    {
        var message = new V1.ResampleRequest();
        message.Features.AddRange(features.Select(TensorWire.ToMessage));
        var response = await client.ResampleAsync(message, cancellationToken: cancellation);
        return new Resampling(response.WeightsDigest, response.Latents.ToRecords("latents"));
    });
}

/// <summary>The language model behind a channel.</summary>
internal sealed class RemoteLanguageModel(V1.LanguageModel.LanguageModelClient client, RemoteCalls calls) : ILanguageModel
{
    public Task<LanguageModelDescription> DescribeAsync(CancellationToken cancellation) => calls.RunAsync(cancellation, async () =>
        (await client.DescribeAsync(new V1.DescribeLanguageModelRequest(), cancellationToken: cancellation)).ToRecord());

    public async IAsyncEnumerable<GenerationEvent> GenerateAsync(LanguageModelRequest request, [EnumeratorCancellation] CancellationToken cancellation)
    {
        var message = new V1.GenerateTokensRequest { Sampling = request.Sampling.ToMessage() };
        message.Segments.AddRange(request.Segments.Select(LanguageWire.ToMessage));
        await foreach (var item in calls.ReadAsync(() => client.Generate(message, cancellationToken: cancellation), cancellation)) yield return item.ToRecord();
    }

    public Task<Ranking> RankAsync(RankRequest request, CancellationToken cancellation) => calls.RunAsync(cancellation, async () =>
    {
        var message = new V1.RankCandidatesRequest();
        message.Segments.AddRange(request.Segments.Select(LanguageWire.ToMessage));
        message.Candidates.AddRange(request.Candidates);
        return (await client.RankAsync(message, cancellationToken: cancellation)).ToRecord();
    });

    public Task<IReadOnlyList<int>> TokenizeAsync(IReadOnlyList<PromptSegment> segments, CancellationToken cancellation) => calls.RunAsync<IReadOnlyList<int>>(cancellation, async () =>
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
        services.AddSingleton<IVisionEncoder>(provider => Connect(provider, "VisionEncoder", options => options.VisionEncoder, (channel, calls) => new RemoteVisionEncoder(new(channel), calls)));
        services.AddSingleton<IResampler>(provider => Connect(provider, "Resampler", options => options.Resampler, (channel, calls) => new RemoteResampler(new(channel), calls)));
        services.AddSingleton<ILanguageModel>(provider => Connect(provider, "LanguageModel", options => options.LanguageModel, (channel, calls) => new RemoteLanguageModel(new(channel), calls)));
        return services;
    }

    private static T Connect<T>(IServiceProvider provider, string name, Func<RemoteStageOptions, string> address, Func<GrpcChannel, RemoteCalls, T> stage)
    {
        var options = provider.GetRequiredService<IOptions<RemoteStageOptions>>().Value;
        var channel = StageChannel.Open(address(options), options);
        return stage(channel, new RemoteCalls(channel, name, options.ConnectTimeout));
    }
}
