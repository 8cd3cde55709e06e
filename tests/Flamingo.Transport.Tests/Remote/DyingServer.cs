using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging;

namespace Flamingo.Transport.Tests.Remote;

/// <summary>A replica that accepts connections and dies during every answer. The connection ends like that of a killed process.</summary>
internal sealed class DyingServer : IAsyncDisposable
{
    private readonly WebApplication _app;
    private int _asked;

    private DyingServer(WebApplication app) => _app = app;

    public int Port => new Uri(_app.Urls.Single()).Port;

    public int Asked => Volatile.Read(ref _asked);

    /// <param name="answer">Bytes sent after the headers before the server dies; null sends neither headers nor bytes.</param>
    /// <param name="end">Task after whose completion the server dies.</param>
    public static async Task<DyingServer> StartAsync(byte[]? answer, Task? end = null)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(
            kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http2));
        var server = new DyingServer(builder.Build());
        server._app.Run(context => server.DieAsync(context, answer, end ?? Task.CompletedTask));
        await server._app.StartAsync();
        return server;
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private async Task DieAsync(HttpContext context, byte[]? answer, Task end)
    {
        Interlocked.Increment(ref _asked);
        if (answer is not null)
        {
            context.Response.ContentType = "application/grpc";
            await context.Response.StartAsync();
            await context.Response.Body.WriteAsync(answer);
            await context.Response.Body.FlushAsync();
        }

        await end;
        context.Features.Get<IConnectionSocketFeature>()!.Socket.Shutdown(SocketShutdown.Both);
    }
}
