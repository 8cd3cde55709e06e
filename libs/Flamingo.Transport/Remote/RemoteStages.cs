using System.Runtime.CompilerServices;
using Flamingo.Abstractions;
using Flamingo.Configuration;
using Flamingo.Stages;
using Flamingo.Transport.Remote.Replicas;
using Flamingo.Transport.Wire;
using Flamingo.Wire;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Transport.Remote;

/// <summary>Calls a remote vision encoder over a channel.</summary>
/// <param name="connectWait">How long a call waits for a connection.</param>
public sealed class RemoteVisionEncoder(StageChannel channel, TimeSpan connectWait) : IVisionEncoder
{
    private readonly V1.VisionEncoder.VisionEncoderClient _client = new(channel.Channel);
    private readonly RemoteCalls _calls = new(channel, "VisionEncoder", connectWait);

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

/// <summary>Calls a remote resampler over a channel.</summary>
/// <param name="connectWait">How long a call waits for a connection.</param>
public sealed class RemoteResampler(StageChannel channel, TimeSpan connectWait) : IResampler
{
    private readonly V1.Resampler.ResamplerClient _client = new(channel.Channel);
    private readonly RemoteCalls _calls = new(channel, "Resampler", connectWait);

    public Task<ResamplerDescription> DescribeAsync(CancellationToken cancellation) =>
        _calls.RunAsync(null, cancellation, async (headers, token) =>
        (await _client.DescribeAsync(new V1.DescribeResamplerRequest(), headers, cancellationToken: token)).ToRecord());

    public Task<Resampling> ResampleAsync(ResampleRequest request, CancellationToken cancellation) =>
        _calls.RunAsync(null, cancellation, async (headers, token) =>
        (await _client.ResampleAsync(request.ToMessage(), headers, cancellationToken: token)).ToRecord());
}

/// <summary>Calls a remote language model over a channel. The beginning of a prompt selects the replica.</summary>
/// <param name="connectWait">How long a call waits for a connection.</param>
public sealed class RemoteLanguageModel(StageChannel channel, TimeSpan connectWait) : ILanguageModel
{
    private readonly V1.LanguageModel.LanguageModelClient _client = new(channel.Channel);
    private readonly RemoteCalls _calls = new(channel, "LanguageModel", connectWait);

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
    /// <summary>
    /// Registers remote implementations of the three stages, which are called over gRPC. AddVisionEncoderStage, AddResamplerStage
    /// and AddLanguageModelStage register the stages in this process instead.
    /// </summary>
    public static IServiceCollection AddRemoteStages(this IServiceCollection services)
    {
        services.AddOptionSection<RemoteStageOptions>(RemoteStageOptions.Section);
        services.AddSingleton<IValidateOptions<RemoteStageOptions>>(provider => new RemoteStageRules(Time(provider)));
        services.AddSingleton(provider => new StageTls(
            provider.GetRequiredService<IOptions<RemoteStageOptions>>().Value, Time(provider),
            (provider.GetService<ILoggerFactory>() ?? NullLoggerFactory.Instance).CreateLogger<StageTls>()));
        services.AddSingleton<IVisionEncoder>(provider =>
            Stage(provider, options => (options.VisionEncoder, options.VisionEncoderName), (channel, wait) =>
                new RemoteVisionEncoder(channel, wait)));
        services.AddSingleton<IResampler>(provider =>
            Stage(provider, options => (options.Resampler, options.ResamplerName), (channel, wait) => new RemoteResampler(channel, wait)));
        services.AddSingleton<ILanguageModel>(provider =>
            Stage(provider, options => (options.LanguageModel, options.LanguageModelName), (channel, wait) =>
                new RemoteLanguageModel(channel, wait)));
        return services;
    }

    private static T Stage<T>(
        IServiceProvider provider, Func<RemoteStageOptions, (string Address, string Name)> where, Func<StageChannel, TimeSpan, T> stage)
    {
        var options = provider.GetRequiredService<IOptions<RemoteStageOptions>>().Value;
        var (address, name) = where(options);
        var channel = StageChannel.Open(address, options, Time(provider), null, provider.GetRequiredService<StageTls>(), name);
        return stage(channel, options.ConnectTimeout);
    }

    private static TimeProvider Time(IServiceProvider provider) => provider.GetService<TimeProvider>() ?? TimeProvider.System;
}
