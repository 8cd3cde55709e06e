using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Cli.Tests.Caching;
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
        using var cold = JsonDocument.Parse(
            (await FlamingoCommand.RunAsync(["generate", "--prompt", Examples.Prompt("caption.json"), .. server])).MustReturn(0).Output);
        var picture = Assert.Single(cold.RootElement.GetProperty("pictures").EnumerateArray());
        Assert.Equal("encoded", picture.GetProperty("source").GetString());
        Assert.Equal(Examples.Golden("caption-query.png", 0).Text.Trim(), cold.RootElement.GetProperty("text").GetString()!.Trim());

        using var folder = new TemporaryFolder();
        var id = picture.GetProperty("id").GetString();
        var prompt = folder.Write(
            "prompt.json",
            $$$"""{"segments": [{"picture_id": "{{{id}}}"}, {"text": "Output:"}], "sampling": {"max_tokens": 14}}""");
        using var warm = JsonDocument.Parse(
            (await FlamingoCommand.RunAsync(["generate", "--prompt", prompt, .. server])).MustReturn(0).Output);
        Assert.Equal("memory", Assert.Single(warm.RootElement.GetProperty("pictures").EnumerateArray()).GetProperty("source").GetString());
        Assert.Equal(cold.RootElement.GetProperty("ids").GetRawText(), warm.RootElement.GetProperty("ids").GetRawText());

        var unknown = new string('0', 64);
        var strange = folder.Write("strange.json", $$"""{"segments": [{"picture_id": "{{unknown}}"}, {"text": "Output:"}]}""");
        var refused = (await FlamingoCommand.RunAsync(["generate", "--prompt", strange, .. server])).MustReturn(1);
        Assert.Contains(unknown, refused.Error, StringComparison.Ordinal);
    }

    // The command runs as a child process, because its logger does not use the error writer of the command line.
    [Fact]
    public async Task A_port_in_use_is_said_in_one_line()
    {
        using var holder = new TcpListener(IPAddress.Any, 0);
        holder.Start();
        var port = ((IPEndPoint)holder.LocalEndpoint).Port;
        using var folder = new TemporaryFolder();
        var finished = (await FlamingoCommand.SpawnAsync(folder.Path, "serve", "--grpc-port", $"{port}")).MustReturn(1);
        Assert.Contains($"{port}", Assert.Single(finished.Error.Trim().Split('\n')), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_server_that_is_not_there_is_a_failure_with_its_address_and_a_remedy()
    {
        var address = $"http://localhost:{RunningServer.FreePort()}";
        var asked = await FlamingoCommand.RunAsync("generate", "--prompt", Examples.Prompt("caption.json"), "--server", address);
        var finished = asked.MustReturn(1);
        Assert.Contains(address, finished.Error, StringComparison.Ordinal);
        Assert.Contains("flamingo serve", finished.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("subchannel", finished.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_server_that_is_just_being_started_is_waited_for()
    {
        await using var serving = new RunningServer { Port = RunningServer.FreePort() };
        var asking = FlamingoCommand.RunAsync("cache", "stats", "--server", $"http://localhost:{serving.Port}");
        await Task.Delay(TimeSpan.FromSeconds(0.5), TestContext.Current.CancellationToken); // the first attempt to connect has failed
        Assert.False(asking.IsCompleted);
        await serving.InitializeAsync();
        (await asking).MustReturn(0);
    }

    [Fact]
    public async Task A_gateway_whose_stages_are_gone_says_so_and_its_own_address_is_not_in_doubt()
    {
        await using var gateway = await FakeGateway.StartAsync();
        gateway.Encoding = () => throw new FlamingoException(
            FlamingoErrorKind.Unavailable, "LanguageModel at dns:///language-model:8080 cannot be reached: Name or service not known.");
        var finished = (await FlamingoCommand.RunAsync("cache", "warm", Examples.Prompt("."), "--server", gateway.Address)).MustReturn(1);
        Assert.Contains("LanguageModel at dns:///language-model:8080 cannot be reached", finished.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("Check the address", finished.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_listens_and_is_no_grpc_server_is_said_to_be_none()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        var answering = AnswerAsync();
        var address = $"http://localhost:{((IPEndPoint)listener.LocalEndpoint).Port}";
        var finished = (await FlamingoCommand.RunAsync("cache", "stats", "--server", address)).MustReturn(1);
        Assert.True(finished.Error.Contains("does not answer as a gRPC server", StringComparison.Ordinal), finished.Error);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => answering);

        async Task AnswerAsync()
        {
            while (true)
            {
                using var taken = await listener.AcceptSocketAsync(stop.Token);
                await taken.ReceiveAsync(new byte[1 << 16], stop.Token);
                await taken.SendAsync("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"u8.ToArray(), stop.Token);
                taken.Shutdown(SocketShutdown.Send);
                try
                {
                    // Closing a connection with unread bytes would reset it, and the client could lose the answer.
                    while (await taken.ReceiveAsync(new byte[1 << 16], stop.Token) > 0) { }
                }
                catch (SocketException)
                {
                    // the client has closed the connection
                }
            }
        }
    }
}
