using System.Net;
using Flamingo.Transport.Serving;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Flamingo.Bench.Stacks;

/// <summary>Kestrel hosts in this process, each on a free loopback port. They are stopped together.</summary>
internal sealed class LoopbackHosts : IAsyncDisposable
{
    private readonly List<WebApplication> _hosts = [];

    public async ValueTask DisposeAsync()
    {
        foreach (var host in Enumerable.Reverse(_hosts)) await host.DisposeAsync();
    }

    /// <returns>The address of the host.</returns>
    public async Task<string> StartAsync(Action<IServiceCollection> register, Action<WebApplication> map, CancellationToken cancellation,
        IReadOnlyDictionary<string, string?>? settings = null)
    {
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory });
        builder.Logging.ClearProviders();
        builder.Configuration.Sources.Clear(); // files and environment variables of the machine must not change the measurement
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
