using Flamingo.Abstractions;
using Flamingo.Stages;
using Flamingo.Transport.Remote;
using Flamingo.Transport.Serving;
using Microsoft.Extensions.DependencyInjection;

namespace Flamingo.Bench.Stacks;

/// <summary>
/// Two ways from pixels to latents over loopback gRPC: the caller passes features on to the resampler, as the gateway does, or the
/// vision encoder sends them to the resampler directly and returns latents. The second way exists only in this benchmark.
/// </summary>
public sealed class HandoverStack : IAsyncDisposable
{
    private readonly LoopbackHosts _hosts = new();
    private readonly List<StageChannel> _channels = [];
    private IVisionEncoder _vision = null!, _handing = null!;
    private IResampler _resampler = null!;

    public static async Task<HandoverStack> StartAsync(EmbeddedStack embedded, TimeProvider time, CancellationToken cancellation)
    {
        var stack = new HandoverStack();
        try
        {
            var options = new RemoteStageOptions();
            StageChannel Open(string address)
            {
                var channel = StageChannel.Open(address, options, time);
                stack._channels.Add(channel);
                return channel;
            }

            var vision = embedded.Stage<IVisionEncoder>();
            stack._resampler = new RemoteResampler(
                Open(await stack._hosts.StartAsync(services => services.AddSingleton(embedded.Stage<IResampler>()),
                    app => app.MapResampler(), cancellation)), options.ConnectTimeout);
            stack._vision = new RemoteVisionEncoder(
                Open(await stack._hosts.StartAsync(services => services.AddSingleton(vision), app => app.MapVisionEncoder(), cancellation)),
                options.ConnectTimeout);
            stack._handing = new RemoteVisionEncoder(Open(await stack._hosts.StartAsync(
                services => services.AddSingleton<IVisionEncoder>(new HandingVisionEncoder(vision, stack._resampler)),
                app => app.MapVisionEncoder(), cancellation)), options.ConnectTimeout);
            return stack;
        }
        catch
        {
            await stack.DisposeAsync();
            throw;
        }
    }

    /// <returns>Latents. The features pass through this process.</returns>
    public async Task<IReadOnlyList<TensorData>> ThroughHereAsync(VisionEncodeRequest request, CancellationToken cancellation)
    {
        var encoding = await _vision.EncodeAsync(request, cancellation);
        return (await _resampler.ResampleAsync(new ResampleRequest([.. encoding.Pictures.Select(picture => picture.Features)]),
            cancellation)).Latents;
    }

    /// <returns>The same latents. The vision encoder sends the features to the resampler.</returns>
    public async Task<IReadOnlyList<TensorData>> DirectlyAsync(VisionEncodeRequest request, CancellationToken cancellation) =>
        [.. (await _handing.EncodeAsync(request, cancellation)).Pictures.Select(picture => picture.Features)];

    public async ValueTask DisposeAsync()
    {
        foreach (var channel in _channels) channel.Dispose();
        await _hosts.DisposeAsync();
    }

    // Its answer carries latents in the field for features, which makes no difference to the transfer.
    private sealed class HandingVisionEncoder(IVisionEncoder vision, IResampler resampler) : IVisionEncoder
    {
        public Task<VisionEncoderDescription> DescribeAsync(CancellationToken cancellation) => vision.DescribeAsync(cancellation);

        public Task<VisionEncoderStatistics> GetStatisticsAsync(CancellationToken cancellation) => vision.GetStatisticsAsync(cancellation);

        public async Task<VisionEncoding> EncodeAsync(VisionEncodeRequest request, CancellationToken cancellation)
        {
            var encoding = await vision.EncodeAsync(request, cancellation);
            var resampling = await resampler.ResampleAsync(new ResampleRequest([.. encoding.Pictures.Select(picture => picture.Features)]),
                cancellation);
            return new VisionEncoding(encoding.WeightsDigest,
                [.. resampling.Latents.Select(latents => new PictureFeatures(latents, null))]);
        }
    }
}
