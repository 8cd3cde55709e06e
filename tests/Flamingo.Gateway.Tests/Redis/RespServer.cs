using System.Net;
using System.Net.Sockets;
using Garnet;
using StackExchange.Redis;

namespace Flamingo.Gateway.Tests.Redis;

/// <summary>Garnet, a server of Redis' protocol inside this process: what runs where there is no Docker.</summary>
internal sealed class RespServer : IDisposable
{
    private GarnetServer? _server;

    public RespServer() => _server = Start();

    public int Port { get; } = FreePort();

    public string Address => $"127.0.0.1:{Port}";

    public void Dispose() => Stop();

    public void Stop()
    {
        _server?.Dispose();
        _server = null;
    }

    /// <summary>Empty, on the same port.</summary>
    public void StartAgain() => _server = Start();

    public async Task<ConnectionMultiplexer> ConnectAsync() => await ConnectionMultiplexer.ConnectAsync($"127.0.0.1:{Port},abortConnect=false,allowAdmin=true");

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private GarnetServer Start()
    {
        var server = new GarnetServer(["--port", $"{Port}", "--bind", "127.0.0.1", "--memory", "64m", "--page", "1m", "--index", "1m", "--lua", "true", "--logger-level", "None", "-q"]);
        server.Start();
        return server;
    }
}
