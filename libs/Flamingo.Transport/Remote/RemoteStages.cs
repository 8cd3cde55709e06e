using System.Runtime.CompilerServices;
using Flamingo.Abstractions;
using Flamingo.Configuration;
using Flamingo.Stages;
using Flamingo.Transport.Remote.Replicas;
using Flamingo.Transport.Wire;
using Flamingo.Wire;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Transport.Remote;

/// <summary>The vision encoder behind a channel.</summary>
/// <param name="patience">How long a call waits for a lost connection.</param>
public sealed class RemoteVisionEncoder(StageChannel channel, TimeSpan patience) : IVisionEncoder
{
    private readonly V1.VisionEncoder.VisionEncoderClient _client = new(channel.Channel);
    private readonly RemoteCalls _calls = new(channel, "VisionEncoder", patience);

    public Task<VisionEncoderDescription> DescribeAsync(CancellationToken cancellation) =>
        _calls.RunAsync(null, cancellation, async (headers, token) =>
        (await _client.DescribeAsync(new V1.DescribeVisionEncoderRequest(), headers, cancellationToken: token)).ToRecord());

    public Task<VisionEncoding> EncodeAsync(VisionEncodeRequest request, CancellationToken cancellation) =>
        _calls.RunAsync(null, cancellation, async (headers, token) =>
        (await _client.EncodeAsync(request.ToMessage(), headers, cancellationToken: token)).ToRecord());

    public Task<VisionEncoderStatistics> GetStatisticsAsync(CancellationToken cancellation) =>
        _calls.RunAsync(null, cancellation, async (headers, token) =>
        (await _client.GetStatisticsAsync(new V1.GetVisionEncoderStatisticsRequest(), headers, cancellationToken: token)).ToRecord());
}

/// <summary>The resampler behind a channel.</summary>
/// <param name="patience">How long a call waits for a lost connection.</param>
public sealed class RemoteResampler(StageChannel channel, TimeSpan patience) : IResampler
{
    private readonly V1.Resampler.ResamplerClient _client = new(channel.Channel);
    private readonly RemoteCalls _calls = new(channel, "Resampler", patience);

    public Task<ResamplerDescription> DescribeAsync(CancellationToken cancellation) =>
        _calls.RunAsync(null, cancellation, async (headers, token) =>
        (await _client.DescribeAsync(new V1.DescribeResamplerRequest(), headers, cancellationToken: token)).ToRecord());

    public Task<Resampling> ResampleAsync(ResampleRequest request, CancellationToken cancellation) =>
        _calls.RunAsync(null, cancellation, async (headers, token) =>
        (await _client.ResampleAsync(request.ToMessage(), headers, cancellationToken: token)).ToRecord());
}

/// <summary>The language model behind a channel; the prompt's beginning is what chooses the replica.</summary>
/// <param name="patience">How long a call waits for a lost connection.</param>
public sealed class RemoteLanguageModel(StageChannel channel, TimeSpan patience) : ILanguageModel
{
    private readonly V1.LanguageModel.LanguageModelClient _client = new(channel.Channel);
    private readonly RemoteCalls _calls = new(channel, "LanguageModel", patience);

    public Task<LanguageModelDescription> DescribeAsync(CancellationToken cancellation) =>
        _calls.RunAsync(null, cancellation, async (headers, token) =>
        (await _client.DescribeAsync(new V1.DescribeLanguageModelRequest(), headers, cancellationToken: token)).ToRecord());

    public async IAsyncEnumerable<AnswerEvent> GenerateAsync(
        LanguageModelRequest request, [EnumeratorCancellation] CancellationToken cancellation)
    {
        var key = PromptAffinity.Key(request.Tenant, request.Segments);
        var answer = _calls.ReadAsync(
            key, (headers, token) => _client.Generate(request.ToMessage(), headers, cancellationToken: token), cancellation);
        await foreach (var item in answer) yield return item.ToRecord();
    }

    public Task<Ranking> RankAsync(RankRequest request, CancellationToken cancellation) =>
        _calls.RunAsync(PromptAffinity.Key(request.Tenant, request.Segments), cancellation, async (headers, token) =>
        (await _client.RankAsync(request.ToMessage(), headers, cancellationToken: token)).ToRecord());

    public Task<IReadOnlyList<int>> TokenizeAsync(IReadOnlyList<PromptSegment> segments, CancellationToken cancellation) =>
        _calls.RunAsync<IReadOnlyList<int>>(null, cancellation, async (headers, token) =>
    {
        var message = new V1.TokenizeRequest();
        message.Segments.AddRange(segments.Select(LanguageWire.ToMessage));
        return [.. (await _client.TokenizeAsync(message, headers, cancellationToken: token)).Ids];
    });
}

public static class RemoteStagesRegistration
{
    /// <summary>The three stages over gRPC, where AddXStage() would put them into this process.</summary>
    public static IServiceCollection AddRemoteStages(this IServiceCollection services)
    {
        services.AddOptionSection<RemoteStageOptions>(RemoteStageOptions.Section);
        services.AddSingleton<IVisionEncoder>(provider =>
            Stage(provider, options => options.VisionEncoder, (channel, patience) => new RemoteVisionEncoder(channel, patience)));
        services.AddSingleton<IResampler>(provider =>
            Stage(provider, options => options.Resampler, (channel, patience) => new RemoteResampler(channel, patience)));
        services.AddSingleton<ILanguageModel>(provider =>
            Stage(provider, options => options.LanguageModel, (channel, patience) => new RemoteLanguageModel(channel, patience)));
        return services;
    }

    private static T Stage<T>(IServiceProvider provider, Func<RemoteStageOptions, string> address, Func<StageChannel, TimeSpan, T> stage)
    {
        var options = provider.GetRequiredService<IOptions<RemoteStageOptions>>().Value;
        return stage(
            StageChannel.Open(address(options), options, provider.GetService<TimeProvider>() ?? TimeProvider.System),
            options.ConnectTimeout);
    }
}
