using System.Net;
using System.Text;
using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Cli.Tests.Running;
using Flamingo.Client;
using Grpc.Core;
using Grpc.Net.Client;
using Grpc.Net.Client.Web;
using Microsoft.Extensions.AI;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Cli.Tests.Serving;

/// <summary>The same prompt gives the same tokens through every door of <c>flamingo serve</c>.</summary>
public sealed class DoorsTests
{
    private const int MaxTokens = 14;

    private static byte[] Picture => File.ReadAllBytes(Examples.Prompt("caption-query.png"));

    private static string Base64 => Convert.ToBase64String(Picture);

    [Fact(Timeout = 60_000)]
    public async Task The_same_prompt_gives_the_same_tokens_through_every_door()
    {
        var cancellation = TestContext.Current.CancellationToken;
        var port = RunningServer.FreePort();
        await using var serving = new RunningServer { Arguments = ["--http-port", $"{port}"] };
        await serving.InitializeAsync();
        var web = $"http://localhost:{port}";
        using var http = new HttpClient { BaseAddress = new Uri(web) };

        var (expected, text) = await NativeAsync(serving.Address, cancellation);
        Assert.Equal(Examples.Golden("caption-query.png", 0).Text.Trim(), text.Trim());
        Assert.Equal(expected, (await NativeAsync(web, cancellation)).Ids);
        foreach (var mode in new[] { GrpcWebMode.GrpcWeb, GrpcWebMode.GrpcWebText })
            Assert.Equal(expected, await WebAsync(web, mode, cancellation));
        Assert.Equal(expected, await JsonAsync(http, cancellation));
        Assert.Equal(expected, await CommandAsync(serving.Address));
        Assert.Equal(expected, await CommandAsync(web));
        Assert.Equal(text, await CompletionAsync(http, cancellation));
        var chat = await ChatAsync(http, cancellation);
        foreach (var address in new[] { serving.Address, web })
        {
            using var client = new FlamingoClient(address);
            var message = new ChatMessage(ChatRole.User, [new DataContent(Picture, "image/png"), new TextContent("what is this?")]);
            var response = await client.AsChatClient().GetResponseAsync(message, cancellationToken: cancellation);
            Assert.Equal(chat.Text, response.Text);
            Assert.Equal(chat.Ids, ((Answer)response.RawRepresentation!).Ids);
        }
    }

    [Fact(Timeout = 60_000)]
    public async Task What_a_chat_client_sends_wrongly_is_named_by_its_place_in_the_messages()
    {
        var cancellation = TestContext.Current.CancellationToken;
        await using var serving = new RunningServer();
        await serving.InitializeAsync();
        using var client = new FlamingoClient(serving.Address);
        foreach (var (content, place) in new (AIContent, string)[]
        {
            (new DataContent("no picture"u8.ToArray(), "image/png"), "messages[1].Contents[1].picture"),
            (new DataContent(Picture[..200], "image/png"), "messages[1].Contents[1].picture"),
            (new HostedFileContent("../../etc/passwd"), "messages[1].Contents[1].picture_id"),
            (new HostedFileContent(new string('a', 1 << 20)), "messages[1].Contents[1].picture_id"),
        })
        {
            var refusal = await Assert.ThrowsAsync<FlamingoException>(() => client.AsChatClient().GetResponseAsync(
                [new(ChatRole.System, "Toys."), new(ChatRole.User, [new TextContent("This: "), content])], null, cancellation));
            Assert.Equal((FlamingoErrorKind.InvalidArgument, place), (refusal.Kind, Assert.Single(refusal.Faults).Field));
            Assert.InRange(refusal.Message.Length, 1, 1000);
        }

        var embedding = await Assert.ThrowsAsync<FlamingoException>(() => client.AsPictureEmbeddingGenerator().GenerateAsync(
            [new DataContent(Picture, "image/png"), new DataContent("no picture"u8.ToArray(), "image/png")], null, cancellation));
        Assert.StartsWith("values[1]", Assert.Single(embedding.Faults).Field, StringComparison.Ordinal);
    }

    [Fact(Timeout = 60_000)]
    public async Task An_HTTP_port_in_use_is_said_in_one_line()
    {
        using var holder = new System.Net.Sockets.TcpListener(IPAddress.Any, 0);
        holder.Start();
        var port = ((IPEndPoint)holder.LocalEndpoint).Port;
        using var folder = new TemporaryFolder();
        var command = FlamingoCommand.SpawnAsync(
            folder.Path, "serve", "--grpc-port", $"{RunningServer.FreePort()}", "--http-port", $"{port}");
        var line = Assert.Single((await command.WaitAsync(TestContext.Current.CancellationToken)).MustReturn(1).Error.Trim().Split('\n'));
        Assert.Contains($"{port}", line, StringComparison.Ordinal);
        Assert.Contains("Endpoints:HttpPort", line, StringComparison.Ordinal);
    }

    private static async Task<(List<int> Ids, string Text)> NativeAsync(string address, CancellationToken cancellation)
    {
        using var client = new FlamingoClient(address);
        var prompt = new FlamingoRequest(
            [new FlamingoPicture(Picture), new FlamingoText("Output:")], new SamplingParameters { MaxTokens = MaxTokens });
        var (ids, text) = (new List<int>(), new StringBuilder());
        await foreach (var item in client.GenerateAsync(prompt, cancellation))
        {
            if (item is not AnswerTokens tokens) continue;
            ids.AddRange(tokens.Ids);
            text.Append(tokens.Text);
        }

        return (ids, text.ToString());
    }

    private static async Task<List<int>> WebAsync(string address, GrpcWebMode mode, CancellationToken cancellation)
    {
        using var channel = GrpcChannel.ForAddress(address, new GrpcChannelOptions
        {
            HttpHandler = new GrpcWebHandler(mode, new HttpClientHandler()), HttpVersion = HttpVersion.Version11,
            HttpVersionPolicy = HttpVersionPolicy.RequestVersionExact,
        });
        using var call = new V1.Flamingo.FlamingoClient(channel).Generate(new V1.GenerateRequest
        {
            Segments =
            {
                new V1.PromptSegment { Picture = Google.Protobuf.ByteString.CopyFrom(Picture) }, new V1.PromptSegment { Text = "Output:" },
            },
            Sampling = new V1.Sampling { MaxTokens = MaxTokens },
        }, cancellationToken: cancellation);
        var ids = new List<int>();
        await foreach (var item in call.ResponseStream.ReadAllAsync(cancellation)) ids.AddRange(item.Tokens?.Ids ?? []);
        return ids;
    }

    private static async Task<List<int>> JsonAsync(HttpClient http, CancellationToken cancellation)
    {
        var lines = await PostAsync(http, "/flamingo/v1/generate", $$$"""
            {"segments": [{"picture": "{{{Base64}}}"}, {"text": "Output:"}], "sampling": {"maxTokens": {{{MaxTokens}}}}}
            """, cancellation);
        var ids = new List<int>();
        foreach (var line in lines.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            using var item = JsonDocument.Parse(line);
            if (item.RootElement.TryGetProperty("tokens", out var tokens))
                ids.AddRange(tokens.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32()));
        }

        return ids;
    }

    private static async Task<string> CompletionAsync(HttpClient http, CancellationToken cancellation)
    {
        var answer = await PostAsync(http, "/v1/completions", $$"""
            {"prompt": "<image>Output:", "images": ["data:image/png;base64,{{Base64}}"], "max_tokens": {{MaxTokens}}}
            """, cancellation);
        using var completion = JsonDocument.Parse(answer);
        return completion.RootElement.GetProperty("choices")[0].GetProperty("text").GetString()!;
    }

    private static async Task<(string Text, IReadOnlyList<int> Ids)> ChatAsync(HttpClient http, CancellationToken cancellation)
    {
        using var answer = JsonDocument.Parse(await PostAsync(http, "/v1/chat/completions", $$"""
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "data:image/png;base64,{{Base64}}"},
              {"type": "text", "text": "what is this?"}]}]}
            """, cancellation));
        var text = answer.RootElement.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString()!;
        var own = answer.RootElement.GetProperty("flamingo").GetProperty("choices")[0];
        return (text, [.. own.GetProperty("token_ids").EnumerateArray().Select(id => id.GetInt32())]);
    }

    private static async Task<string> PostAsync(HttpClient http, string path, string json, CancellationToken cancellation)
    {
        using var content = new StringContent(json, Encoding.UTF8, "application/json");
        using var response = await http.PostAsync(path, content, cancellation);
        var text = await response.Content.ReadAsStringAsync(cancellation);
        Assert.True(response.IsSuccessStatusCode, text);
        return text;
    }

    private static async Task<List<int>> CommandAsync(string address)
    {
        var run = await FlamingoCommand.RunAsync(
            ["generate", "--prompt", Examples.Prompt("caption.json"), "--server", address, "--max-tokens", $"{MaxTokens}", "--json"]);
        using var answer = JsonDocument.Parse(run.MustReturn(0).Output);
        return [.. answer.RootElement.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32())];
    }
}
