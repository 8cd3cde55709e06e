using System.Net;
using System.Runtime.CompilerServices;
using Flamingo.Abstractions;
using Flamingo.Stages;
using Flamingo.Transport.Remote;
using Flamingo.Transport.Serving;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Flamingo.Transport.Tests.Serving;

/// <summary>Serves stages on a real port, and provides the remote stages that call them.</summary>
internal sealed class LoopbackServer : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly ServiceProvider _remote;
    private readonly StrongBox<int> _asked;

    private LoopbackServer(WebApplication app, StrongBox<int> asked)
    {
        (_app, _asked) = (app, asked);
        Port = new Uri(app.Urls.Single()).Port;
        var address = app.Urls.Single().Replace("http://", "dns:///", StringComparison.Ordinal);
        var services = new ServiceCollection().AddRemoteStages();
        services.AddSingleton<Microsoft.Extensions.Configuration.IConfiguration>(
            new Microsoft.Extensions.Configuration.ConfigurationManager());
        services.PostConfigure<RemoteStageOptions>(options => options.VisionEncoder = options.Resampler = options.LanguageModel = address);
        _remote = services.BuildServiceProvider();
    }

    public int Port { get; }

    /// <summary>Number of calls that arrived, including failed ones.</summary>
    public int Asked => _asked.Value;

    public ILanguageModel LanguageModel => _remote.GetRequiredService<ILanguageModel>();

    public IResampler Resampler => _remote.GetRequiredService<IResampler>();

    /// <param name="language">The language model; null serves only the other stages.</param>
    /// <param name="tls">Configures TLS of the port; null serves without TLS.</param>
    public static async Task<LoopbackServer> StartAsync(ILanguageModel? language, Action<ListenOptions>? tls = null)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.MaxRequestBodySize = null;
            kestrel.Listen(IPAddress.Loopback, 0, listen =>
            {
                listen.Protocols = HttpProtocols.Http2;
                tls?.Invoke(listen);
            });
        });
        if (tls is not null) builder.WebHost.UseKestrelHttpsConfiguration();
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.Zero);
        builder.Services.AddStageServing().AddSingleton<IResampler, EchoResampler>();
        if (language is not null) builder.Services.AddSingleton(language);
        var (app, asked) = (builder.Build(), new StrongBox<int>());
        app.Use((HttpContext context, RequestDelegate next) =>
        {
            Interlocked.Increment(ref asked.Value);
            return next(context);
        });
        app.MapResampler();
        if (language is not null) app.MapLanguageModel();
        await app.StartAsync();
        return new LoopbackServer(app, asked);
    }

    /// <summary>Closes every connection abruptly, as a killed process would.</summary>
    public Task StopAsync() => _app.StopAsync(new CancellationToken(canceled: true));

    public async ValueTask DisposeAsync()
    {
        await _remote.DisposeAsync();
        await _app.DisposeAsync();
    }
}
