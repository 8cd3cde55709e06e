using Flamingo.Fixtures;
using Garnet;
using StackExchange.Redis;

namespace Flamingo.Gateway.Tests.Redis;

/// <summary>Garnet, a server inside this process that implements the Redis protocol, for machines without Docker.</summary>
internal sealed class RespServer : IDisposable
{
    private readonly string? _clusterFiles;
    private GarnetServer? _server;

    /// <param name="cluster">
    /// Whether the server is the only node of a cluster. It then owns all slots, and refuses commands and scripts whose keys
    /// belong to several slots.
    /// </param>
    public RespServer(bool cluster = false)
    {
        if (cluster) _clusterFiles = Directory.CreateTempSubdirectory("flamingo-cluster").FullName;
        _server = Start();
        if (!cluster) return;
        using var connection = ConnectionMultiplexer.Connect($"{Address},allowAdmin=true");
        connection.GetServers()[0].Execute("CLUSTER", "ADDSLOTSRANGE", 0, 16383);
    }

    public int Port { get; } = FreePort.Next();

    public string Address => $"127.0.0.1:{Port}";

    public void Dispose()
    {
        Stop();
        if (_clusterFiles is not null) Directory.Delete(_clusterFiles, recursive: true);
    }

    public void Stop()
    {
        _server?.Dispose();
        _server = null;
    }

    /// <summary>Restarts the server without data on the same port.</summary>
    public void StartAgain() => _server = Start();

    public async Task<ConnectionMultiplexer> ConnectAsync() =>
        await ConnectionMultiplexer.ConnectAsync($"{Address},abortConnect=false,allowAdmin=true");

    private GarnetServer Start()
    {
        string[] cluster = _clusterFiles is null ? []
            : ["--cluster", "true", "--device-type", "RandomAccess", "--checkpointdir", _clusterFiles];
        var server = new GarnetServer(
        [
            "--port", $"{Port}", "--bind", "127.0.0.1", "--memory", "64m", "--page", "1m", "--index", "1m", "--lua", "true",
            "--logger-level", "None", "-q", .. cluster,
        ]);
        server.Start();
        return server;
    }
}
