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
        await using var serving = new RunningServer();
        await serving.InitializeAsync();
        string[] server = ["--server", serving.Address, "--json"];
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
        var finished = (await FlamingoCommand.RunAsync("generate", "--prompt", Examples.Prompt("caption.json"), "--server", $"http://localhost:{RunningServer.FreePort()}")).MustReturn(1);
        Assert.Contains("flamingo serve", finished.Error, StringComparison.Ordinal);
    }
}
