using System.Net;
using System.Net.Sockets;
using System.Text;
using Flamingo.Abstractions;

namespace Flamingo.Gateway.Doors.Tests.Ports;

/// <summary>Bodies of the HTTP port are admitted by the same budget as gRPC's messages, and slow or strange ones end with a clear
/// answer.</summary>
public sealed class BodyTests
{
    private const string Path = "/flamingo/v1/generate";

    // The smallest budget: a tenant may take 8 MiB, so the largest body has a third of it.
    private static readonly (string, string) SmallBudget = ("Requests:MaxInFlightBytes", "16777216");
    private const int LargestBody = (8 << 20) / 3;

    [Theory(Timeout = 60_000)]
    [InlineData(false), InlineData(true)]
    public async Task A_body_above_the_largest_is_413_and_one_below_is_served(bool chunked)
    {
        var model = new ScriptedModel();
        await using var server = await PortServer.StartAsync(model, TestContext.Current.CancellationToken, SmallBudget);
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, await SendAsync(LargestBody + 100));
        Assert.Null(model.Asked.Request);
        // A text without an announced length is held in pieces of up to 1 MiB.
        Assert.Equal(HttpStatusCode.OK, await SendAsync(LargestBody - (chunked ? 1 << 20 : 100)));
        Assert.Equal(0, server.Budget.InFlight);

        async Task<HttpStatusCode> SendAsync(int size)
        {
            using var content = new ByteArrayContent(Encoding.UTF8.GetBytes(Prompt(size)));
            content.Headers.ContentType = new("application/json");
            using var request = new HttpRequestMessage(HttpMethod.Post, Path) { Content = content };
            request.Headers.TransferEncodingChunked = chunked;
            using var response = await server.Http.SendAsync(request);
            return response.StatusCode;
        }
    }

    [Fact(Timeout = 60_000)]
    public async Task A_body_is_counted_once_while_its_answer_is_computed_and_not_after()
    {
        var gate = new TaskCompletionSource();
        var model = new ScriptedModel { Gate = gate.Task };
        await using var server = await PortServer.StartAsync(model, TestContext.Current.CancellationToken, SmallBudget);
        using var request = new HttpRequestMessage(HttpMethod.Post,
            Path) { Content = new StringContent(Prompt(1 << 20), Encoding.UTF8, "application/json") };
        using var response = await server.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        Assert.InRange(server.Budget.InFlight, (1 << 20) - 8, (1 << 20) + (64 << 10));
        gate.SetResult();
        Assert.Contains("\"finished\"", await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        await server.UntilAsync(() => server.Budget.InFlight == 0);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_full_budget_is_429_with_Retry_After_before_the_body_is_read()
    {
        await using var server = await PortServer.StartAsync(new ScriptedModel(), TestContext.Current.CancellationToken, SmallBudget);
        server.Budget.Take(TenantName.Default, 7 << 20, 0, small: false);
        var answer = await server.SendAsync(HttpMethod.Post, Path, Prompt(1 << 20));
        Assert.Equal((HttpStatusCode.TooManyRequests, "1"), (answer.Status, answer.Header("retry-after")));
        Assert.Contains("Requests:MaxInFlightBytes", answer.Text, StringComparison.Ordinal);
        // Another tenant is served.
        Assert.Equal(HttpStatusCode.OK,
            (await server.SendAsync(HttpMethod.Post, Path, Prompt(1 << 20), ("flamingo-tenant", "bob"))).Status);
        server.Budget.GiveBack(TenantName.Default, 7 << 20);
        Assert.Equal(0, server.Budget.InFlight);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_call_of_names_and_numbers_takes_a_small_body_alone()
    {
        await using var server = await PortServer.StartAsync(new ScriptedModel(), TestContext.Current.CancellationToken);
        var answer = await server.SendAsync(HttpMethod.Delete, "/flamingo/v1/support-sets/words", new string(' ', 65 << 10));
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, answer.Status);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_compressed_body_is_415()
    {
        await using var server = await PortServer.StartAsync(new ScriptedModel(), TestContext.Current.CancellationToken);
        using var request = new HttpRequestMessage(HttpMethod.Post,
            Path) { Content = new StringContent("{}", Encoding.UTF8, "application/json") };
        request.Content.Headers.ContentEncoding.Add("gzip");
        using var response = await server.Http.SendAsync(request);
        Assert.Equal(HttpStatusCode.UnsupportedMediaType, response.StatusCode);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_body_that_does_not_arrive_is_408_and_holds_nothing()
    {
        await using var server = await PortServer.StartAsync(new ScriptedModel(), TestContext.Current.CancellationToken);
        await using var connection = await server.ConnectAsync();
        await connection.WriteAsync(Encoding.ASCII.GetBytes(
            $"POST {Path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{\"segments\""));
        await server.UntilAsync(() => server.Budget.InFlight > 0);
        var reading = ReadAsync(connection, "}]}"[..1]);
        while (!reading.IsCompleted)
        {
            server.Time.Advance(TimeSpan.FromSeconds(11));
            await Task.Delay(10);
        }

        Assert.StartsWith("HTTP/1.1 408", await reading, StringComparison.Ordinal);
        Assert.Contains("Requests:TransferTimeout", await reading, StringComparison.Ordinal);
        await server.UntilAsync(() => server.Budget.InFlight == 0);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_caller_that_leaves_while_its_body_arrives_holds_nothing_and_is_no_error()
    {
        await using var server = await PortServer.StartAsync(new ScriptedModel(), TestContext.Current.CancellationToken);
        await using (var connection = await server.ConnectAsync())
        {
            await connection.WriteAsync(Encoding.ASCII.GetBytes(
                $"POST {Path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{\"segments\""));
            await server.UntilAsync(() => server.Budget.InFlight > 0);
            connection.Socket.LingerState = new LingerOption(true, 0); // resets the connection
        }

        await server.UntilAsync(() => server.Budget.InFlight == 0);
        Assert.DoesNotContain(server.Logs.GetSnapshot(), record => record.Exception is not null);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_caller_that_leaves_ends_its_computation()
    {
        var model = new ScriptedModel { Gate = new TaskCompletionSource().Task };
        await using var server = await PortServer.StartAsync(model, TestContext.Current.CancellationToken);
        using (var request = new HttpRequestMessage(HttpMethod.Post,
            Path) { Content = new StringContent(Prompt(100), Encoding.UTF8, "application/json") })
        using (await server.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead))
        {
            // The first line has arrived, and the model waits.
        }

        await model.Left.Task;
        await server.UntilAsync(() => server.Budget.InFlight == 0);
    }

    [Theory(Timeout = 60_000)]
    [InlineData(1, 40 << 10), InlineData(1000, 40)]
    public async Task Too_many_headers_are_431(int count, int length)
    {
        await using var server = await PortServer.StartAsync(new ScriptedModel(), TestContext.Current.CancellationToken);
        var answer = await server.SendAsync(
            HttpMethod.Get, "/flamingo/v1/model", null,
                [.. Enumerable.Range(0, count).Select(index => ($"x-{index}", new string('a', length)))]);
        Assert.Equal(HttpStatusCode.RequestHeaderFieldsTooLarge, answer.Status);
    }

    [Fact(Timeout = 60_000)]
    public async Task Hostile_texts_are_400_and_leave_nothing_behind()
    {
        await using var server = await PortServer.StartAsync(new ScriptedModel(), TestContext.Current.CancellationToken);
        string[] texts =
        [
            "", " ", "null", "[]", "5", "\"a\"", "{", "{}}", "{} {}", "{\"segments\":", "\uFEFF\uFEFF{}", "{\"a\\ud800\": 1}",
            new string('[', 100_000), "{\"segments\":" + new string('[', 100_000), "{\"segments\":["
                + string.Concat(Enumerable.Repeat("{\"video\":", 5000)),
            "{\"segments\": [{\"picture\": \"" + new string('A', 2_000_001) + "\"}]}",
            "{\"segments\": [{\"picture\": \"" + new string('!', 2_000_000) + "\"}]}",
            "{\"sampling\": {\"maxTokens\": 1e400}}", "{\"sampling\": {\"maxTokens\": 99999999999999999999}}",
            "{\"sampling\": {\"temperature\": \"NaN\"}, \"sampling\": 5}", "{\"pinPrefix\": \"99999999999999999999s\"}",
            "{\"pinPrefix\": \"a\"}", "{\"supportSet\": {\"name\": \"\\ud800\"}}",
            string.Concat(Enumerable.Repeat("{\"x\":1,", 1))
                + string.Join(",", Enumerable.Range(0, 20_000).Select(index => $"\"x{index}\":1")) + "}",
        ];
        foreach (var text in texts)
        {
            var answer = await server.SendAsync(HttpMethod.Post, Path, text);
            Assert.Equal((text[..Math.Min(60, text.Length)], HttpStatusCode.BadRequest),
                (text[..Math.Min(60, text.Length)], answer.Status));
            Assert.InRange(answer.Text.Length, 20, 20_000);
        }

        Assert.Equal(0, server.Budget.InFlight);
        Assert.DoesNotContain(server.Logs.GetSnapshot(), record => record.Exception is not null);
    }

    private static string Prompt(int size)
    {
        const string Start = "{\"segments\": [{\"picture\": \"", End = "\"}]}";
        return Start + new string('A', (size - Start.Length - End.Length) / 4 * 4) + End;
    }

    private static async Task<string> ReadAsync(NetworkStream connection, string end)
    {
        var (text, buffer) = (new StringBuilder(), new byte[4096]);
        while (!text.ToString().EndsWith(end, StringComparison.Ordinal) && await connection.ReadAsync(buffer) is > 0 and var count)
            text.Append(Encoding.UTF8.GetString(buffer, 0, count));
        return text.ToString();
    }
}
