using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Flamingo.Fixtures.Attacks;
using Flamingo.Testing;

namespace Flamingo.SystemTests.Attacks;

/// <summary>
/// A thousand hostile requests to the HTTP port of a server of one process: each is answered with a clear status of 400 to 499,
/// memory stays within the budget, and nothing is left running.
/// </summary>
public sealed class HostileHttpTests
{
    private const long Budget = 256 << 20, Slack = 256 << 20;
    private const int Each = 100; // requests of each kind
    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(30);
    private readonly Random _random = new(13);

    private static CancellationToken Timely => TestContext.Current.CancellationToken;

    [Fact(Timeout = 180_000)]
    public async Task Each_of_a_thousand_hostile_requests_is_refused_clearly_and_nothing_stays()
    {
        await using var server = await AttackServer.StartAsync(
            RepositoryFiles.Path("models", "shapes"),
            [("Requests:MaxInFlightBytes", $"{Budget}"), ("Requests:TransferTimeout", "1s")], Timely);
        using var client = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{server.HttpPort}"), Timeout = Longest };
        Assert.Equal(HttpStatusCode.OK, (await PostAsync(client, Chat(Content("a")))).Status);
        var (before, most, requests) = (server.Memory, 0L, 0);

        foreach (var body in Bodies())
        {
            var (status, error) = await PostAsync(client, body);
            Assert.True((int)status is >= 400 and < 500, $"{status} for {Start(body)}: {error}");
            Assert.False(string.IsNullOrWhiteSpace(Message(error)), $"{status} without a message for {Start(body)}: {error}");
            most = Math.Max(most, server.Memory - before);
            requests++;
        }

        var raw = Raw().ToList();
        foreach (var chunk in raw.Chunk(20))
        {
            foreach (var (request, head) in (await Task.WhenAll(chunk.Select(one => SendAsync(server.HttpPort, one))))
                .Zip(chunk, (head, one) => (one, head)))
            {
                // A flood of headers may close the connection instead; a request that never ends must not wait for ever.
                var status = head.Length > 12 && head.StartsWith("HTTP/1.1 ", StringComparison.Ordinal) ? int.Parse(head[9..12], null) : 0;
                // A path such as /%2e%2e is a spelling of /, which is the page, and everybody may load that.
                var isPage = status == 200 && head.Contains("Content-Security-Policy: default-src 'none'", StringComparison.Ordinal);
                Assert.True(isPage || status is 0 or (>= 400 and < 500), $"{status} for {Start(request)}");
                Assert.True(status > 0 || request.Length > 30_000, $"No answer for {Start(request)}");
                requests++;
            }

            most = Math.Max(most, server.Memory - before);
        }

        Assert.InRange(requests, 1000, int.MaxValue);
        Assert.InRange(most, long.MinValue, Budget + Slack);
        Assert.Equal(HttpStatusCode.OK, (await PostAsync(client, Chat(Content("a")))).Status);
        await Attack.AskAsNeighbourAsync(server.Target, Longest, Timely);
        Assert.DoesNotContain("failed unexpectedly", server.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("unhandled exception", server.Output, StringComparison.OrdinalIgnoreCase);
    }

    private static string Chat(string content, string more = "") =>
        $$"""{"messages":[{"role":"user","content":{{content}}}],"max_tokens":2{{more}}}""";

    private static string Content(string text) => JsonSerializer.Serialize(text);

    private static string Picture(string url) =>
        """[{"type":"image_url","image_url":{"url":""" + JsonSerializer.Serialize(url) + "}}]";

    private static string Start(string body) => body.Length <= 200 ? body : $"{body[..200]} … ({body.Length})";

    private static string Message(string error)
    {
        try
        {
            return JsonDocument.Parse(error).RootElement.GetProperty("error").GetProperty("message").GetString() ?? "";
        }
        catch (JsonException)
        {
            return "";
        }
    }

    private static async Task<(HttpStatusCode Status, string Error)> PostAsync(HttpClient client, string body)
    {
        using var content = new StringContent(body, Encoding.UTF8, new MediaTypeHeaderValue("application/json"));
        using var answer = await client.PostAsync(new Uri("/v1/chat/completions", UriKind.Relative), content, Timely);
        return (answer.StatusCode, await answer.Content.ReadAsStringAsync(Timely));
    }

    private IEnumerable<string> Bodies()
    {
        var valid = Chat(Content("What is this?"), ""","temperature":0.5,"stop":["x"],"logit_bias":{"5":1},"stream_options":null""");
        for (var number = 0; number < Each; number++) yield return valid[.._random.Next(1, valid.Length - 1)]; // cut off
        for (var number = 0; number < Each; number++)
        {
            // A character that JSON does not allow there.
            var at = valid.IndexOf(':', _random.Next(valid.Length / 2)) + 1;
            yield return valid[..at] + "}" + valid[at..];
        }

        string[] wrong =
        [
            """{"messages":7}""", """{"messages":[]}""", """{"messages":[7]}""", """{"messages":[{"role":7,"content":"a"}]}""",
            """{"messages":[{"role":"nobody","content":"a"}]}""", """{"messages":[{"role":"user","content":{}}]}""",
            """{"messages":[{"role":"user"}]}""", "[]", "7", "null", "\"text\"", "{}", "", " ",
            Chat("[7]"), Chat("""[{"type":"video"}]"""), Chat("""[{"type":"image_url"}]"""),
                Chat("""[{"type":"image_url","image_url":[]}]"""),
            Chat(Content("a"), ""","temperature":"hot" """), Chat(Content("a"), ""","temperature":-1"""),
            Chat(Content("a"), ""","temperature":1e999"""), Chat(Content("a"), ""","top_p":2"""), Chat(Content("a"), ""","n":-1"""),
            Chat(Content("a"), ""","n":1e6"""), Chat(Content("a"), ""","n":1.5"""), Chat(Content("a"), ""","stop":7"""),
            Chat(Content("a"), ""","stop":[[]]"""), Chat(Content("a"), ""","logit_bias":[]"""),
            Chat(Content("a"), ""","logit_bias":{"x":1}"""), Chat(Content("a"), ""","top_logprobs":99"""),
            Chat(Content("a"), ""","max_tokens":-1,"max_completion_tokens":"many" """), Chat(Content("a"), ""","model":7"""),
            Chat(Content("a"), ""","model":"gpt-4o" """), Chat(Content("a"), ""","tools":[{}]"""),
                Chat(Content("a"), ""","functions":[]"""),
            Chat(Content("a"), ""","seed":"x" """), Chat(Content("a"), ""","stream":"yes" """), Chat(Content("a"), ""","flamingo":7"""),
            Chat(Content("a"), ""","flamingo":{"what":1}"""), Chat(Content("a"), ""","what":1"""),
        ];
        for (var number = 0; number < 2 * Each; number++) yield return wrong[number % wrong.Length];
        for (var number = 0; number < Each; number++)
        {
            var depth = 100 << (number % 11); // up to 100,000 and more
            yield return number % 2 == 0 ? new string('[', depth) : Chat(new string('[', depth) + new string(']', depth));
        }

        for (var number = 0; number < Each; number++)
        {
            // Base64 that is large, malformed, or no picture.
            var data = new byte[number < 3 ? 22_000_000 : _random.Next(1, 3000)];
            _random.NextBytes(data);
            var text = Convert.ToBase64String(data);
            yield return Chat(Picture(
                $"data:image/png;base64,{(number % 3 == 0 ? text[..(text.Length / 2)] + "*" + text[(text.Length / 2)..] : text)}"));
        }

        string[] addresses =
        [
            "https://169.254.169.254/latest/meta-data", "https://localhost/a.png", "https://127.0.0.1/a.png", "https://[::1]/a.png",
            "https://[::ffff:127.0.0.1]/a.png", "https://0x7f000001/", "https://2130706433/", "https://10.0.0.1/", "https://100.64.0.1/",
            "http://example.com/a.png", "ftp://example.com/a.png", "file:///etc/passwd", "gopher://x", "data:,x",
                "data:text/html;base64,AAAA",
            "flamingo:../../etc/passwd", "flamingo:", "https://example.com:22/", "https://user:password@example.com/",
                "javascript:alert(1)", "",
            "https://example.com/a.png", "//example.com/a.png", "https://", "flamingo:" + new string('0', 64),
        ];
        for (var number = 0; number < Each; number++) yield return Chat(Picture(addresses[number % addresses.Length]));
    }

    private IEnumerable<string> Raw()
    {
        string[] paths =
        [
            "/v1/../../etc/passwd", "/v1/files/..%2f..%2fetc%2fpasswd", "/v1/files/%00", "/v1//chat/completions", "/%2e%2e/%2e%2e",
                "/v1/models/%ff",
            "/" + new string('a', 5000), "/v1/files/" + new string('%', 50), "/v1/chat/completions/", "/v1/responses", "/?"
                + new string('q', 3000),
            "/v1/files/{id}", "/\\..\\..", "/v1/chat/completions?api-key=%0d%0aX:y", "//", "/.git/config", "/v1/models/../../..",
        ];
        for (var number = 0; number < Each; number++)
            yield return $"{(number % 2 == 0 ? "GET" : "POST")} {paths[number % paths.Length]} HTTP/1.1\r\nHost: a\r\nConnection: "
                + $"close\r\nContent-Length: 0\r\n\r\n";
        string[] methods = ["TRACE", "CONNECT", "PUT", "DELETE", "PATCH", "BREW", "GET"];
        for (var number = 0; number < Each; number++)
            yield return $"{methods[number % methods.Length]} /v1/chat/completions HTTP/1.1\r\nHost: a\r\nConnection: "
                + $"close\r\nContent-Length: 0\r\n\r\n";
        for (var number = 0; number < Each / 2; number++)
        {
            // Many headers, or one large header.
            var headers = number % 2 == 0
                ? string.Concat(Enumerable.Range(0, 10_000).Select(header => $"x-{header}: y\r\n")) : $"x: {new string('y', 600_000)}\r\n";
            yield return $"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}Content-Length: 0\r\n\r\n";
        }

        // Bodies that never come to their end.
        for (var number = 0; number < Each / 2; number++)
            yield return "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n"
                + $"Content-Length: {1000 + number}\r\n\r\n{{\"messages\":";
    }

    /// <returns>The first line of the answer; empty if the connection was closed without one.</returns>
    // Returns the status line and the headers.
    private static async Task<string> SendAsync(int port, string request)
    {
        var head = new StringBuilder();
        using var client = new TcpClient();
        await client.ConnectAsync(IPAddress.Loopback, port, Timely);
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(Timely);
        patience.CancelAfter(Longest);
        try
        {
            await client.GetStream().WriteAsync(Encoding.Latin1.GetBytes(request), patience.Token);
            using var reader = new StreamReader(client.GetStream(), Encoding.Latin1);
            while (await reader.ReadLineAsync(patience.Token) is { Length: > 0 } line) head.AppendLine(line);
        }
        catch (IOException)
        {
        }

        return head.ToString();
    }
}
