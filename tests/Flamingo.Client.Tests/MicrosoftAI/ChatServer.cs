using System.Net;
using Flamingo.Abstractions;
using Flamingo.Gateway.Doors.Tests;
using Flamingo.Transport.Serving;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Flamingo.Client.Tests.MicrosoftAI;

/// <summary>A scripted model behind a real gRPC port, and a client of it.</summary>
internal sealed class ChatServer : IAsyncDisposable
{
    private readonly WebApplication _server;

    private ChatServer(WebApplication server) => (_server, Client) = (server, new FlamingoClient(server.Urls.Single()));

    public ScriptedFlamingo Flamingo { get; private init; } = null!;

    public FlamingoClient Client { get; }

    public string Address => _server.Urls.Single();

    public static async Task<ChatServer> StartAsync()
    {
        var flamingo = new ScriptedFlamingo();
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel =>
            kestrel.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http2));
        builder.Services.AddStageServing().AddSingleton<IFlamingo>(flamingo);
        var server = builder.Build();
        server.MapFlamingo();
        await server.StartAsync();
        return new ChatServer(server) { Flamingo = flamingo };
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await _server.DisposeAsync();
    }
}
