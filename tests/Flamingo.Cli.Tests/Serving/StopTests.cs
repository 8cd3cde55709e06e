using System.Diagnostics;
using System.Net.Sockets;
using Flamingo.Cli.Tests.Running;

namespace Flamingo.Cli.Tests.Serving;

/// <summary>Tests the first and the second Ctrl-C.</summary>
public sealed class StopTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    // A penalty below 1 makes a greedy answer repeat tokens of its prompt, which does not contain the stop token.
    private static string[] LongAnswer(int tokens) =>
    [
        "generate", "--picture", Examples.Prompt("caption-query.png"), "small red circle small red circle small red circle",
        "--max-tokens", $"{tokens}", "--repetition-penalty", "0.1",
    ];

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Serve_tells_its_operator_the_model_its_memory_and_its_end()
    {
        var (serving, address) = await ServeAsync();
        await using var _ = serving;
        await serving.SaidAsync("[2001] Model flamingo-shapes is read from ");
        await serving.SaidAsync("[2002] Memory held: vision encoder: weights 3.2 MiB, decoding ");
        await serving.SaidAsync("; resampler: weights 3.0 MiB, features in the stage ");
        await serving.SaidAsync("; language model: weights ");
        await serving.SaidAsync("[5001] The language model reads at most 2048 tokens.");
        await serving.SaidAsync($"[1001] flamingo 0.1.0.0 serves gRPC (HTTP/2, without TLS) on "
            + $"{address.Replace("localhost", "[::]", StringComparison.Ordinal)}.");
        serving.CtrlC();
        Assert.Equal(0, await serving.ExitAsync());
        Assert.Contains("[1004] The service has stopped.", serving.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Serve_says_what_it_waits_for_and_lets_it_end()
    {
        var (serving, address) = await ServeAsync();
        await using var _ = serving;
        await using var asking = SpawnedCommand.Start(_folder.Path, [], [.. LongAnswer(600), "--server", address]);
        await asking.SaidAsync("circle");
        serving.CtrlC();
        await serving.SaidAsync("waits at most 20 s for 1 call (flamingo.v1.Flamingo/Generate). Press Ctrl-C again to stop at once.");
        Assert.Equal(0, await asking.ExitAsync());
        Assert.Equal(0, await serving.ExitAsync());
    }

    [Fact]
    public async Task A_second_signal_stops_at_once()
    {
        var (serving, address) = await ServeAsync("--Endpoints:DrainTimeout=10min");
        await using var _ = serving;
        await using var asking = SpawnedCommand.Start(_folder.Path, [], [.. LongAnswer(1900), "--server", address]);
        await asking.SaidAsync("circle");
        serving.CtrlC();
        await serving.SaidAsync("at most 600 s");
        var begun = Stopwatch.GetTimestamp();
        serving.CtrlC();
        Assert.Equal(130, await serving.ExitAsync());
        Assert.InRange(Stopwatch.GetElapsedTime(begun).TotalSeconds, 0, 10);
        Assert.Equal(1, await asking.ExitAsync());
        Assert.Contains(address, asking.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_connection_that_says_nothing_is_not_waited_for()
    {
        var (serving, address) = await ServeAsync();
        await using var _ = serving;
        using var silent = new TcpClient("localhost", new Uri(address).Port);
        serving.CtrlC();
        var begun = Stopwatch.GetTimestamp();
        Assert.Equal(0, await serving.ExitAsync());
        Assert.InRange(Stopwatch.GetElapsedTime(begun).TotalSeconds, 0, 10);
    }

    [Fact]
    public async Task Generate_that_is_interrupted_ends_with_130()
    {
        await using var asking = SpawnedCommand.Start(_folder.Path, [], LongAnswer(1900));
        await asking.SaidAsync("circle");
        asking.CtrlC();
        Assert.Equal(130, await asking.ExitAsync());
        Assert.Contains("flamingo: cancelled.", asking.Error, StringComparison.Ordinal);
    }

    private async Task<(SpawnedCommand Serving, string Address)> ServeAsync(params string[] settings)
    {
        var address = $"http://localhost:{RunningServer.FreePort()}";
        string[] serve = ["serve", "--grpc-port", $"{new Uri(address).Port}", "--Model:Threads=1", .. settings];
        var serving = SpawnedCommand.Start(_folder.Path, [], serve);
        await serving.SaidAsync(address);
        return (serving, address);
    }
}
