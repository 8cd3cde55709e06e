using System.Net;
using Flamingo.Bench.Measuring;
using Flamingo.Gateway;
using Flamingo.Stages;
using Flamingo.Transport.Remote;
using Flamingo.Transport.Serving;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Flamingo.Bench.Stacks;

/// <summary>
/// VisionEncoder, Resampler, LanguageModel and Gateway each behind a Kestrel of its own on a free loopback port, and a
/// client. The stages are those of the embedded stack, not loaded twice: what differs between the two is the way, not
/// the computing. The gateway has a latent cache of its own.
/// </summary>
public sealed class DistributedStack : IAsyncDisposable
{
    private readonly List<WebApplication> _hosts = [];
    private readonly TimeProvider _time;
    private RemoteFlamingo? _client;

    private DistributedStack(TimeProvider time) => _time = time;

    public static async Task<DistributedStack> StartAsync(EmbeddedStack embedded, BenchRequest request, TimeProvider time, CancellationToken cancellation)
    {
        var stack = new DistributedStack(time);
        try
        {
            var settings = new Dictionary<string, string?>(request.Settings)
            {
                ["Stages:VisionEncoder"] = await stack.HostAsync(services => services.AddSingleton(embedded.Stage<IVisionEncoder>()), app => app.MapVisionEncoder(), cancellation),
                ["Stages:Resampler"] = await stack.HostAsync(services => services.AddSingleton(embedded.Stage<IResampler>()), app => app.MapResampler(), cancellation),
                ["Stages:LanguageModel"] = await stack.HostAsync(services => services.AddSingleton(embedded.Stage<ILanguageModel>()), app => app.MapLanguageModel(), cancellation),
            };
            stack._client = new RemoteFlamingo(await stack.HostAsync(services => services.AddRemoteStages().AddGatewayPipeline(), app => app.MapFlamingo(), cancellation, settings));
            return stack;
        }
        catch
        {
            await stack.DisposeAsync();
            throw;
        }
    }

    public Task<TimedAnswer> AskAsync(FlamingoRequest request, CancellationToken cancellation) => TimedAnswer.AskAsync(_client!, request, _time, cancellation);

    public async ValueTask DisposeAsync()
    {
        _client?.Dispose();
        foreach (var host in Enumerable.Reverse(_hosts)) await host.DisposeAsync();
    }

    private async Task<string> HostAsync(Action<IServiceCollection> register, Action<WebApplication> map, CancellationToken cancellation, IReadOnlyDictionary<string, string?>? settings = null)
    {
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory });
        builder.Logging.ClearProviders();
        builder.Configuration.Sources.Clear(); // neither files nor environment of whoever measures
        builder.Configuration.AddInMemoryCollection(settings ?? new Dictionary<string, string?>());
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.MaxRequestBodySize = null;
            kestrel.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http2);
        });
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.Zero);
        builder.Services.AddStageServing();
        register(builder.Services);
        var app = builder.Build();
        _hosts.Add(app);
        map(app);
        await app.StartAsync(cancellation);
        return app.Urls.Single();
    }
}
