namespace Flamingo.Cli.Tests.Running;

/// <summary>Runs <c>flamingo serve</c> in this process with the default model on a free port, until it is disposed.</summary>
public sealed class RunningServer : IAsyncLifetime
{
    private readonly CancellationTokenSource _stop = new();
    private Task<int> _serving = Task.FromResult(0);

    public string Address { get; private set; } = "";

    public int Port { get; init; } = FreePort();

    /// <summary>Whether the arguments turn TLS on.</summary>
    public bool IsTls { get; init; }

    /// <summary>The arguments of <c>serve</c>, without the port.</summary>
    public string[] Arguments { get; init; } = [];

    public async ValueTask InitializeAsync()
    {
        var (listening, error) = (new AnnouncedLine(), new StringWriter());
        _serving = CommandLine.RunAsync(["serve", "--grpc-port", $"{Port}", .. Arguments], listening, error, _stop.Token);
        var first = await Task.WhenAny(listening.Announced, _serving);
        Assert.True(first == listening.Announced, error.ToString());
        Address = $"{(IsTls ? "https" : "http")}://localhost:{Port}";
        Assert.Contains(Address, await listening.Announced, StringComparison.Ordinal);
    }

    /// <summary>Stops the server in the same way as Ctrl-C.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        Assert.Equal(0, await _serving);
        _stop.Dispose();
    }

    public static int FreePort() => Fixtures.FreePort.Next();

    /// <summary>A writer whose first line can be awaited.</summary>
    private sealed class AnnouncedLine : StringWriter
    {
        private readonly TaskCompletionSource<string> _line = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task<string> Announced => _line.Task;

        public override Task WriteLineAsync(string? value)
        {
            _line.TrySetResult(value ?? "");
            return Task.CompletedTask;
        }
    }
}
