using System.Diagnostics;
using Grpc.Net.Client;

namespace Flamingo.Fixtures.Attacks;

/// <summary>
/// The whole system in one process, <c>flamingo serve</c> with <c>models/shapes</c>, on a free port of this machine. It is the build
/// beside the running program's in the folder <c>artifacts</c>. Disposing it ends the process.
/// </summary>
public sealed class AttackServer : IAsyncDisposable
{
    private readonly Process _process;
    private readonly List<string> _output = [];
    private readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private AttackServer(Process process, int port, int httpPort)
    {
        HttpPort = httpPort;
        _process = process;
        process.OutputDataReceived += (_, line) => Hear(line.Data);
        process.ErrorDataReceived += (_, line) => Hear(line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        Target = new AttackTarget(port, GrpcChannel.ForAddress($"http://127.0.0.1:{port}"));
    }

    public AttackTarget Target { get; }

    /// <summary>The port of HTTP/1.1.</summary>
    public int HttpPort { get; }

    /// <summary>Memory that the process occupies now, in bytes.</summary>
    public long Memory
    {
        get
        {
            _process.Refresh();
            return _process.WorkingSet64;
        }
    }

    /// <summary>What the process has printed so far.</summary>
    public string Output
    {
        get
        {
            lock (_output) return string.Join('\n', _output);
        }
    }

    /// <exception cref="InvalidOperationException">The server does not start; the message contains its output.</exception>
    public static async Task<AttackServer> StartAsync(
        string model, IEnumerable<(string Option, string Value)> options, CancellationToken cancellation)
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory); // artifacts/bin/PROJECT/CONFIGURATION
        var program = Path.Combine(folder.Parent!.Parent!.FullName, "Flamingo.Cli", folder.Name, "flamingo.dll");
        var (port, httpPort) = (FreePort.Next(), FreePort.Next());
        string[] arguments =
        [
            program, "serve", "--model", model, "--grpc-port", $"{port}", "--http-port", $"{httpPort}", "--Endpoints:Listen=loopback",
            .. options.Select(option => $"--{option.Option}={option.Value}"),
        ];
        var start = new ProcessStartInfo(Environment.ProcessPath is { } host && Path.GetFileNameWithoutExtension(host) == "dotnet"
            ? host : "dotnet", arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        var server = new AttackServer(Process.Start(start)!, port, httpPort);
        try
        {
            var ended = server._process.WaitForExitAsync(cancellation);
            if (await Task.WhenAny(server._ready.Task, ended).WaitAsync(TimeSpan.FromMinutes(1), cancellation) == ended)
                throw new InvalidOperationException($"The server does not start:\n{server.Output}");
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        Target.NeighbourChannel.Dispose();
        _process.Kill(entireProcessTree: true);
        await _process.WaitForExitAsync();
        _process.Dispose();
    }

    private void Hear(string? line)
    {
        if (line is null) return;
        lock (_output) _output.Add(line);
        if (line.Contains("serves gRPC", StringComparison.Ordinal)) _ready.TrySetResult();
    }
}
