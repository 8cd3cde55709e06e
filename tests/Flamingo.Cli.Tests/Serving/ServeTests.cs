using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Flamingo.Cli.Tests.Running;

namespace Flamingo.Cli.Tests.Serving;

public sealed class ServeTests
{
    [Fact]
    public async Task A_picture_sent_once_is_asked_for_by_its_id_and_comes_from_memory()
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        var port = FreePort();
        var listening = new AnnouncedLine();
        var error = new StringWriter();
        var serving = CommandLine.RunAsync(["serve", "--grpc-port", $"{port}"], listening, error, stop.Token);
        var first = await Task.WhenAny(listening.Announced, serving);
        Assert.True(first == listening.Announced, error.ToString());
        Assert.Contains($"http://localhost:{port}", await listening.Announced, StringComparison.Ordinal);

        string[] server = ["--server", $"http://localhost:{port}", "--json"];
        using var cold = JsonDocument.Parse((await FlamingoCommand.RunAsync(["generate", "--prompt", Examples.Prompt("caption.json"), .. server])).MustReturn(0).Output);
        var picture = Assert.Single(cold.RootElement.GetProperty("pictures").EnumerateArray());
        Assert.Equal("encoded", picture.GetProperty("source").GetString());
        Assert.Equal(Examples.Golden("caption-query.png", 0).Text.Trim(), cold.RootElement.GetProperty("text").GetString()!.Trim());

        using var folder = new TemporaryFolder();
        var prompt = folder.Write("prompt.json", $$$"""{"segments": [{"picture_id": "{{{picture.GetProperty("id").GetString()}}}"}, {"text": "Output:"}], "sampling": {"max_tokens": 14}}""");
        using var warm = JsonDocument.Parse((await FlamingoCommand.RunAsync(["generate", "--prompt", prompt, .. server])).MustReturn(0).Output);
        Assert.Equal("memory", Assert.Single(warm.RootElement.GetProperty("pictures").EnumerateArray()).GetProperty("source").GetString());
        Assert.Equal(cold.RootElement.GetProperty("ids").GetRawText(), warm.RootElement.GetProperty("ids").GetRawText());

        var unknown = new string('0', 64);
        var strange = folder.Write("strange.json", $$"""{"segments": [{"picture_id": "{{unknown}}"}, {"text": "Output:"}]}""");
        var refused = (await FlamingoCommand.RunAsync(["generate", "--prompt", strange, .. server])).MustReturn(1);
        Assert.Contains(unknown, refused.Error, StringComparison.Ordinal);

        await stop.CancelAsync();
        Assert.Equal(0, await serving);
    }

    [Fact]
    public async Task A_port_in_use_is_said_in_one_line()
    {
        using var holder = new TcpListener(IPAddress.Any, 0);
        holder.Start();
        var port = ((IPEndPoint)holder.LocalEndpoint).Port;
        var finished = (await FlamingoCommand.RunAsync("serve", "--grpc-port", $"{port}")).MustReturn(1);
        Assert.Contains($"{port}", finished.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_server_that_is_not_there_is_a_failure_with_a_remedy()
    {
        var finished = (await FlamingoCommand.RunAsync("generate", "--prompt", Examples.Prompt("caption.json"), "--server", $"http://localhost:{FreePort()}")).MustReturn(1);
        Assert.Contains("flamingo serve", finished.Error, StringComparison.Ordinal);
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    /// <summary>Output whose first line can be awaited.</summary>
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
