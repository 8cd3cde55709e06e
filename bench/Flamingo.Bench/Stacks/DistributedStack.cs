using Flamingo.Abstractions;
using Flamingo.Bench.Measuring;
using Flamingo.Client;
using Flamingo.Gateway;
using Flamingo.Stages;
using Flamingo.Transport.Remote;
using Flamingo.Transport.Serving;
using Microsoft.Extensions.DependencyInjection;

namespace Flamingo.Bench.Stacks;

/// <summary>
/// VisionEncoder, Resampler, LanguageModel and Gateway, each with its own Kestrel on a free loopback port, and a client. The stages are
/// those of the embedded stack and are not loaded twice, so the two stacks differ only in the transport. The gateway has its own latent
/// cache.
/// </summary>
public sealed class DistributedStack : IAsyncDisposable
{
    private readonly LoopbackHosts _hosts = new();
    private readonly TimeProvider _time;
    private FlamingoClient? _client;

    private DistributedStack(TimeProvider time) => _time = time;

    public static async Task<DistributedStack> StartAsync(
        EmbeddedStack embedded, BenchRequest request, TimeProvider time, CancellationToken cancellation)
    {
        var stack = new DistributedStack(time);
        try
        {
            var settings = new Dictionary<string, string?>(request.Settings)
            {
                ["Stages:VisionEncoder"] = await stack._hosts.StartAsync(
                    services => services.AddSingleton(embedded.Stage<IVisionEncoder>()), app => app.MapVisionEncoder(), cancellation),
                ["Stages:Resampler"] = await stack._hosts.StartAsync(
                    services => services.AddSingleton(embedded.Stage<IResampler>()), app => app.MapResampler(), cancellation),
                ["Stages:LanguageModel"] = await stack._hosts.StartAsync(
                    services => services.AddSingleton(embedded.Stage<ILanguageModel>()), app => app.MapLanguageModel(), cancellation),
            };
            var gateway = await stack._hosts.StartAsync(
                services => services.AddRemoteStages().AddGatewayPipeline(), app => app.MapFlamingo(), cancellation, settings);
            // Every request contains its pictures, so that the comparison with the embedded stack includes their transfer.
            stack._client = new FlamingoClient(new FlamingoClientOptions { Addresses = [gateway], SendsPicturesOnce = false });
            return stack;
        }
        catch
        {
            await stack.DisposeAsync();
            throw;
        }
    }

    public Task<TimedAnswer> AskAsync(FlamingoRequest request, CancellationToken cancellation) =>
        TimedAnswer.AskAsync(_client!, request, _time, cancellation);

    public async ValueTask DisposeAsync()
    {
        _client?.Dispose();
        await _hosts.DisposeAsync();
    }
}
