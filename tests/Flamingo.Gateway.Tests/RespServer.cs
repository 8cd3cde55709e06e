using System.Net;
using System.Net.Sockets;
using Garnet;

namespace Flamingo.Gateway.Tests;

/// <summary>Garnet, a server of Redis' protocol inside this process.</summary>
internal sealed class RespServer : IDisposable
{
    private GarnetServer? _server;

    public RespServer()
    {
        using (var listener = new TcpListener(IPAddress.Loopback, 0))
        {
            listener.Start();
            Port = ((IPEndPoint)listener.LocalEndpoint).Port;
        }

        _server = new GarnetServer(["--port", $"{Port}", "--bind", "127.0.0.1", "--memory", "64m", "--page", "1m", "--index", "1m", "--lua", "true", "--logger-level", "None", "-q"]);
        _server.Start();
    }

    public int Port { get; }

    public string Address => $"127.0.0.1:{Port}";

    /// <summary>May be called twice: a test may take the server away before it ends.</summary>
    public void Dispose() => Interlocked.Exchange(ref _server, null)?.Dispose();
}
