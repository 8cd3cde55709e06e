using System.Runtime.CompilerServices;
using Flamingo.Stages;
using Flamingo.Transport.Remote.Affinity;
using Flamingo.Transport.Wire;
using Grpc.Net.Client;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Transport.Remote;

/// <summary>The vision encoder behind a channel.</summary>
/// <param name="patience">How long a call waits for a lost connection.</param>
public sealed class RemoteVisionEncoder(GrpcChannel channel, TimeSpan patience) : IVisionEncoder
{
    private readonly V1.VisionEncoder.VisionEncoderClient _client = new(channel);
    private readonly RemoteCalls _calls = new(channel, "VisionEncoder", patience);

    public Task<VisionEncoderDescription> DescribeAsync(CancellationToken cancellation) => _calls.RunAsync(cancellation, async () =>
        (await _client.DescribeAsync(new V1.DescribeVisionEncoderRequest(), cancellationToken: cancellation)).ToRecord());

    public Task<VisionEncoding> EncodeAsync(VisionEncodeRequest request, CancellationToken cancellation) => _calls.RunAsync(cancellation, async () =>
        (await _client.EncodeAsync(request.ToMessage(), cancellationToken: cancellation)).ToRecord());

    public Task<VisionEncoderStatistics> GetStatisticsAsync(CancellationToken cancellation) => _calls.RunAsync(cancellation, async () =>
        (await _client.GetStatisticsAsync(new V1.GetVisionEncoderStatisticsRequest(), cancellationToken: cancellation)).ToRecord());
}

/// <summary>The resampler behind a channel.</summary>
/// <param name="patience">How long a call waits for a lost connection.</param>
public sealed class RemoteResampler(GrpcChannel channel, TimeSpan patience) : IResampler
{
    private readonly V1.Resampler.ResamplerClient _client = new(channel);
    private readonly RemoteCalls _calls = new(channel, "Resampler", patience);

    public Task<ResamplerDescription> DescribeAsync(CancellationToken cancellation) => _calls.RunAsync(cancellation, async () =>
        (await _client.DescribeAsync(new V1.DescribeResamplerRequest(), cancellationToken: cancellation)).ToRecord());

    public Task<Resampling> ResampleAsync(ResampleRequest request, CancellationToken cancellation) => _calls.RunAsync(cancellation, async () =>
        (await _client.ResampleAsync(request.ToMessage(), cancellationToken: cancellation)).ToRecord());
}

/// <summary>The language model behind a channel that chooses replicas by the prompt's beginning.</summary>
/// <param name="load">The channel's: it tells the balancer of every call.</param>
/// <param name="patience">How long a call waits for a lost connection.</param>
public sealed class RemoteLanguageModel(GrpcChannel channel, ReplicaLoad load, TimeSpan patience) : ILanguageModel
{
    private readonly V1.LanguageModel.LanguageModelClient _client = new(channel);
    private readonly RemoteCalls _calls = new(channel, "LanguageModel", patience);

    public Task<LanguageModelDescription> DescribeAsync(CancellationToken cancellation) => _calls.RunAsync(cancellation, async () =>
        (await _client.DescribeAsync(new V1.DescribeLanguageModelRequest(), cancellationToken: cancellation)).ToRecord());

    public async IAsyncEnumerable<GenerationEvent> GenerateAsync(LanguageModelRequest request, [EnumeratorCancellation] CancellationToken cancellation)
    {
        using var begun = load.Begin(PromptAffinity.Key(request.Tenant, request.Segments));
        await foreach (var item in _calls.ReadAsync(() => _client.Generate(request.ToMessage(), begun.Headers, cancellationToken: cancellation), cancellation)) yield return item.ToRecord();
    }

    public Task<Ranking> RankAsync(RankRequest request, CancellationToken cancellation) => _calls.RunAsync(cancellation, async () =>
    {
        using var begun = load.Begin(PromptAffinity.Key(request.Tenant, request.Segments));
        return (await _client.RankAsync(request.ToMessage(), begun.Headers, cancellationToken: cancellation)).ToRecord();
    });

    public Task<IReadOnlyList<int>> TokenizeAsync(IReadOnlyList<PromptSegment> segments, CancellationToken cancellation) => _calls.RunAsync<IReadOnlyList<int>>(cancellation, async () =>
    {
        var message = new V1.TokenizeRequest();
        message.Segments.AddRange(segments.Select(LanguageWire.ToMessage));
        return [.. (await _client.TokenizeAsync(message, cancellationToken: cancellation)).Ids];
    });
}

public static class RemoteStagesRegistration
{
    /// <summary>The three stages over gRPC, where AddXStage() would put them into this process.</summary>
    public static IServiceCollection AddRemoteStages(this IServiceCollection services)
    {
        services.AddOptions<RemoteStageOptions>().BindConfiguration(RemoteStageOptions.Section).ValidateDataAnnotations().ValidateOnStart();
        services.AddSingleton<IVisionEncoder>(provider => Stage(provider, options => new RemoteVisionEncoder(StageChannel.Open(options.VisionEncoder, options), options.ConnectTimeout)));
        services.AddSingleton<IResampler>(provider => Stage(provider, options => new RemoteResampler(StageChannel.Open(options.Resampler, options), options.ConnectTimeout)));
        services.AddSingleton<ILanguageModel>(provider => Stage(provider, options =>
        {
            var load = new ReplicaLoad();
            return new RemoteLanguageModel(StageChannel.Open(options.LanguageModel, options, new AffinityBalancerFactory(load, options.LanguageModelSpill)), load, options.ConnectTimeout);
        }));
        return services;
    }

    private static T Stage<T>(IServiceProvider provider, Func<RemoteStageOptions, T> open) => open(provider.GetRequiredService<IOptions<RemoteStageOptions>>().Value);
}
