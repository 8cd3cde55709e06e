using System.Net;
using System.Text;
using System.Text.Json;
using Flamingo.Abstractions;

namespace Flamingo.Gateway.Doors.Tests;

/// <summary>Wrong requests get a status and name their field in the caller's own terms.</summary>
public sealed class FaultTests
{
    private const string User = """{"role":"user","content":"hi"}""";
    private const string Picture = """{"type":"image_url","image_url":{"url":"data:image/png;base64,aGVsbG8="}}""";

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public static TheoryData<string, string?, string> WrongChats => new()
    {
        { "[]", null, "invalid_type" },
        { "{}", "messages", "missing_field" },
        { """{"messages":[]}""", "messages", "missing_field" },
        { """{"messages":"hi"}""", "messages", "invalid_type" },
        { $$"""{"messages":[{{User}}],"messages":[{{User}}]}""", "messages", "duplicate_field" },
        { """{"messages":[{"content":"hi"}]}""", "messages[0].role", "missing_field" },
        { """{"messages":[{"role":"tool","content":"hi"}]}""", "messages[0].role", "unsupported_parameter" },
        { """{"messages":[{"role":"user","content":null}]}""", "messages[0].content", "missing_field" },
        { """{"messages":[{"role":"user","content":"hi","name":"me"}]}""", "messages[0].name", "unsupported_parameter" },
        { """{"messages":[{"role":"user","content":[{"type":"input_audio"}]}]}""", "messages[0].content[0].type", "unsupported_parameter" },
        { """{"messages":[{"role":"user","content":[{"type":"text","text":5}]}]}""", "messages[0].content[0].text", "invalid_type" },
        { Image("5"), "messages[0].content[0].image_url", "invalid_type" },
        { Image("{}"), "messages[0].content[0].image_url.url", "missing_field" },
        { Image("\"hello\""), "messages[0].content[0].image_url", "invalid_value" },
        { Image("\"data:image/png;base64\""), "messages[0].content[0].image_url", "invalid_value" },
        { Image("\"data:image/png;base64,\""), "messages[0].content[0].image_url", "invalid_value" },
        { Image("\"data:image/png;base64,a\""), "messages[0].content[0].image_url", "invalid_value" },
        { Image("\"data:image/png,abc\""), "messages[0].content[0].image_url", "invalid_value" },
        { Image("{\"url\":\"https://example.org/a.png\"}"), "messages[0].content[0].image_url.url", "unsupported_url" },
        { Image("\"\\ud800\""), "messages[0].content[0].image_url", "invalid_json" },
        { """{"messages":[{"role":"user","content":"\ud800"}]}""", "messages[0].content", "invalid_json" },
        { """{"messages":[{"role":"system","content":[PICTURE]}]}""".Replace("PICTURE", Picture, StringComparison.Ordinal),
            "messages[0].content[0].image_url.url", "invalid_value" },
        { $$"""{"messages":[{{User}},{{User}}]}""", "messages[1]", "invalid_value" },
        { """{"messages":[{"role":"assistant","content":"hi"}]}""", "messages[0]", "invalid_value" },
        { $$"""{"messages":[{{User}},{"role":"assistant","content":"yes"}]}""", "messages", "invalid_value" },
        { $$"""{"messages":[{{User}},{"role":"assistant","content":""},{{User}}]}""", "messages[0]", "invalid_value" },
        { $$"""{"messages":[{{User}},{"role":"assistant","content":"yes"},{"role":"system","content":"no"}]}""",
            "messages[2]", "invalid_value" },
        { """{"messages":[{"role":"user","content":""}]}""", "messages[0]", "invalid_value" },
        { With("\"flamingo\":{\"task\":\"sing\"}"), "flamingo.task", "invalid_value" },
        { With("\"flamingo\":{\"task\":\"caption\"}"), "messages[0]", "invalid_value" },
        { With("\"flamingo\":{\"beam\":2}"), "flamingo.beam", "unsupported_parameter" },
        { With("\"flamingo\":{\"zero_shot\":true,\"support_set\":{\"name\":\"a\"}}"), "flamingo.zero_shot", "invalid_value" },
        { With("\"flamingo\":{\"support_set\":{\"name\":\"a\",\"selection\":\"best\"}}"),
            "flamingo.support_set.selection", "invalid_value" },
        { With("\"flamingo\":{\"pin\":0}"), "flamingo.pin", "invalid_value" },
        { With("\"flamingo\":{\"top_k\":-1}"), "flamingo.top_k", "invalid_value" },
        { With("\"flamingo\":{\"attention\":{\"layers\":[9]}}"), "flamingo.attention.layers", "invalid_value" },
        { With("\"flamingo\":{\"seed\":\"x\"}"), "flamingo.seed", "invalid_value" },
        { With("\"temperature\":3"), "temperature", "invalid_value" },
        { With("\"temperature\":1e999"), "temperature", "invalid_type" },
        { With("\"temperature\":\"1\""), "temperature", "invalid_type" },
        { With("\"max_tokens\":0"), "max_tokens", "invalid_value" },
        { With("\"max_tokens\":1.5"), "max_tokens", "invalid_type" },
        { With("\"max_completion_tokens\":0"), "max_completion_tokens", "invalid_value" },
        { With("\"n\":9"), "n", "invalid_value" },
        { With("\"stop\":[1]"), "stop[0]", "invalid_type" },
        { With("\"stop\":[\"\"]"), "stop", "invalid_value" },
        { With("\"seed\":1.5"), "seed", "invalid_type" },
        { With("\"logit_bias\":{\"a\":1}"), "logit_bias.a", "invalid_value" },
        { With("\"logit_bias\":{\"1\":1,\"1\":2}"), "logit_bias.1", "duplicate_field" },
        { With("\"logit_bias\":{\"99\":1}"), "logit_bias", "invalid_value" },
        { With("\"top_logprobs\":2"), "top_logprobs", "invalid_value" },
        { With("\"logprobs\":true,\"top_logprobs\":21"), "top_logprobs", "invalid_value" },
        { With("\"frequency_penalty\":3"), "frequency_penalty", "invalid_value" },
        { With("\"stream_options\":{\"include_usage\":true}"), "stream_options", "invalid_value" },
        { With("\"store\":true"), "store", "unsupported_parameter" },
        { With("\"tools\":[{}]"), "tools", "unsupported_parameter" },
        { With("\"response_format\":{\"type\":\"json_object\"}"), "response_format", "unsupported_parameter" },
        { With("\"reasoning_effort\":\"low\""), "reasoning_effort", "unsupported_parameter" },
        { With("\"metadata\":" + new string('[', 40) + new string(']', 40)), "metadata", "invalid_json" },
        { With("\"metadata\":" + new string('[', 5000)), "metadata", "invalid_json" },
        { With("\"metadata\":[" + string.Join(',', Enumerable.Repeat("0", 300_000)) + "]"), "metadata", "invalid_json" },
        { With("\"metadata\":{\"a\":") , "metadata", "invalid_json" },
        { With("\"a\":1") + "{}", "a", "invalid_json" },
        { "", null, "invalid_json" },
        { Image("\"data:image/png;base64," + new string('?', 20_000) + "\""), "messages[0].content[0].image_url", "invalid_value" },
        { Image("\"\\u0000data:7\""), "messages[0].content[0].image_url", "invalid_value" },
        { $$"""{"messages":[{"role":"user","content":"data:,{{new string('a', 20_000)}}"}]}""", "messages[0].content", "invalid_value" },
    };

    [Fact(Timeout = 60_000)]
    public async Task A_wrong_chat_is_400_and_names_its_field()
    {
        await using var server = await DoorServer.StartAsync(TestContext.Current.CancellationToken);
        foreach (var (body, param, code) in WrongChats.Select(row => row.Data))
        {
            using var answer = await server.ChatAsync(body);
            Assert.Equal((body, HttpStatusCode.BadRequest), (body, answer.StatusCode));
            var error = await ErrorAsync(answer);
            Assert.Equal((body, param, code, "invalid_request_error"), (body, error.Param, error.Code, error.Type));
            Assert.EndsWith(".", error.Message, StringComparison.Ordinal);
            Assert.InRange(error.Message.Length, 20, 400);
        }

        // no refused request has begun anything
        Assert.All(server.Flamingo.Requests, request => Assert.NotEmpty(request.Segments));
        await server.AskAsync("/v1/chat/completions", $$"""{"messages":[{{User}}]}""");
    }

    [Theory(Timeout = 60_000)]
    [InlineData("/v1/completions", """{"prompt":["a","b"]}""", "prompt", "unsupported_parameter")]
    [InlineData("/v1/completions", """{"prompt":[1,2]}""", "prompt", "unsupported_parameter")]
    [InlineData("/v1/completions", """{"prompt":"<image>"}""", "images", "invalid_value")]
    [InlineData("/v1/completions", """{"prompt":"a","images":["data:image/png;base64,aGk="]}""", "images", "invalid_value")]
    [InlineData("/v1/completions", """{"prompt":"<image>","images":["data:image/png;base64,!"]}""", "images[0]", "invalid_value")]
    [InlineData("/v1/completions", """{"prompt":"a","suffix":"b"}""", "suffix", "unsupported_parameter")]
    [InlineData("/v1/completions", """{"prompt":"a","best_of":2}""", "best_of", "unsupported_parameter")]
    [InlineData("/v1/completions", """{"prompt":"a","messages":[]}""", "messages", "unsupported_parameter")]
    [InlineData("/v1/embeddings", """{"input":"some words"}""", "input", "invalid_value")]
    [InlineData("/v1/embeddings", """{"input":[]}""", "input", "invalid_value")]
    [InlineData("/v1/embeddings", """{"input":[[1,2]]}""", "input[0]", "invalid_type")]
    [InlineData("/v1/embeddings", """{"content":[{"type":"text","text":"a"}]}""", "content[0].text", "invalid_value")]
    [InlineData("/v1/embeddings", """{"input":"data:image/png;base64,aGk=","dimensions":8}""", "dimensions", "unsupported_parameter")]
    [InlineData("/v1/embeddings", """{"input":"data:image/png;base64,aGk=","encoding_format":"hex"}""", "encoding_format", "invalid_value")]
    public async Task Other_wrong_requests_name_their_field(string path, string body, string param, string code)
    {
        await using var server = await DoorServer.StartAsync(TestContext.Current.CancellationToken);
        using var answer = await server.PostAsync(path, body);
        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        var error = await ErrorAsync(answer);
        Assert.Equal((param, code), (error.Param, error.Code));
    }

    [Theory(Timeout = 60_000)]
    [InlineData(FlamingoErrorKind.InvalidArgument, 400, null)]
    [InlineData(FlamingoErrorKind.NotFound, 404, null)]
    [InlineData(FlamingoErrorKind.Unauthenticated, 401, null)]
    [InlineData(FlamingoErrorKind.PermissionDenied, 403, null)]
    [InlineData(FlamingoErrorKind.Aborted, 409, null)]
    [InlineData(FlamingoErrorKind.Conflict, 409, null)]
    [InlineData(FlamingoErrorKind.Overloaded, 413, null)]
    [InlineData(FlamingoErrorKind.Overloaded, 429, "2")]
    [InlineData(FlamingoErrorKind.Unavailable, 503, "1")]
    [InlineData(FlamingoErrorKind.Mismatch, 503, "1")]
    [InlineData(FlamingoErrorKind.DeadlineExceeded, 504, null)]
    [InlineData(FlamingoErrorKind.Internal, 500, null)]
    public async Task A_failure_of_the_service_has_a_status_streamed_or_not(FlamingoErrorKind kind, int status, string? wait)
    {
        await using var server = await DoorServer.StartAsync(TestContext.Current.CancellationToken);
        server.Flamingo.Fails = new FlamingoException(kind, "It went wrong.")
        {
            RetryAfter = wait == "2" ? TimeSpan.FromSeconds(1.2) : null,
        };
        foreach (var stream in new[] { "false", "true" })
        {
            using var answer = await server.ChatAsync(With($"\"stream\":{stream}"));
            Assert.Equal(status, (int)answer.StatusCode);
            Assert.Equal(wait, answer.Headers.TryGetValues("Retry-After", out var values) ? values.Single() : null);
            Assert.Equal("It went wrong.", (await ErrorAsync(answer)).Message);
        }
    }

    [Fact(Timeout = 60_000)]
    public async Task A_failure_in_the_middle_of_a_stream_is_an_event_and_nothing_says_that_the_answer_is_done()
    {
        await using var server = await DoorServer.StartAsync(TestContext.Current.CancellationToken);
        server.Flamingo.FailsLater = new FlamingoException(FlamingoErrorKind.Unavailable, "The stage is gone.");
        using var answer = await server.ChatAsync(With("\"stream\":true"));
        var text = await answer.Content.ReadAsStringAsync(Cancellation);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        var events = text.Split("\n\n", StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(2, events.Length);
        Assert.Contains("\"error\":{\"message\":\"The stage is gone.\"", events[1], StringComparison.Ordinal);
        Assert.DoesNotContain("[DONE]", text, StringComparison.Ordinal);
    }

    [Theory(Timeout = 60_000)]
    [InlineData("true")]
    [InlineData("false")]
    public async Task A_caller_that_goes_away_ends_its_computation(string stream)
    {
        await using var server = await DoorServer.StartAsync(TestContext.Current.CancellationToken);
        server.Flamingo.Gate = new TaskCompletionSource().Task;
        using var gone = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions");
        request.Content = new StringContent(With($"\"stream\":{stream}"), Encoding.UTF8, "application/json");
        var asking = server.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, gone.Token);
        if (stream == "true")
        {
            using var answer = await asking;
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        }
        else
        {
            while (server.Flamingo.Requests.IsEmpty) await Task.Yield();
            await gone.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => asking);
        }

        await server.Flamingo.Cancelled.Task.WaitAsync(Cancellation);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_body_that_is_not_json_by_its_type_and_a_defect_are_told_apart()
    {
        await using var server = await DoorServer.StartAsync(TestContext.Current.CancellationToken);
        using var form = await server.Client.PostAsync(
            new Uri("/v1/chat/completions", UriKind.Relative), new StringContent("{}", Encoding.UTF8, "text/plain"), Cancellation);
        Assert.Equal((HttpStatusCode.UnsupportedMediaType, "unsupported_media_type"), (form.StatusCode, (await ErrorAsync(form)).Code));
        server.Flamingo.Fails = new InvalidOperationException("secret");
        using var defect = await server.ChatAsync(With("\"n\":1"));
        var error = await ErrorAsync(defect);
        Assert.Equal((HttpStatusCode.InternalServerError, "server_error"), (defect.StatusCode, error.Type));
        Assert.DoesNotContain("secret", error.Message, StringComparison.Ordinal);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_picture_that_is_too_large_is_refused_before_it_is_decoded()
    {
        await using var server = await DoorServer.StartAsync(TestContext.Current.CancellationToken);
        var (model, base64) = (server.Flamingo.Model, Convert.ToBase64String(new byte[10]));
        server.Flamingo.Model = model with { Vision = model.Vision with { MaxPictureBytes = 9 } };
        using var answer = await server.ChatAsync(Image($"\"data:image/png;base64,{Convert.ToBase64String(new byte[30])}\""));
        Assert.Equal("messages[0].content[0].image_url", (await ErrorAsync(answer)).Param);
        Assert.Empty(server.Flamingo.Requests);
        server.Flamingo.Model = model with { Vision = model.Vision with { MaxPictureBytes = 10 } };
        await server.AskAsync("/v1/chat/completions", Image($"\"DATA:image/png;BASE64,{base64}\""));
        Assert.Equal(new byte[10], ((FlamingoPicture)server.Flamingo.Asked.Segments.OfType<FlamingoVisual>().Single()).Bytes.ToArray());
    }

    [Fact(Timeout = 60_000)]
    public async Task Escaped_slashes_in_base64_are_understood()
    {
        await using var server = await DoorServer.StartAsync(TestContext.Current.CancellationToken);
        byte[] file = [0xff, 0xff, 0xff, 0xfb, 0xff];
        var escaped = Convert.ToBase64String(file).Replace("/", "\\/", StringComparison.Ordinal);
        Assert.Contains("\\/", escaped, StringComparison.Ordinal);
        await server.AskAsync("/v1/chat/completions", Image($"\"data:image\\/png;base64,{escaped}\""));
        Assert.Equal(file, ((FlamingoPicture)server.Flamingo.Asked.Segments.OfType<FlamingoVisual>().Single()).Bytes.ToArray());
    }

    private static string With(string field) => $$"""{"messages":[{{User}}],{{field}}}""";

    private static string Image(string url) =>
        """{"messages":[{"role":"user","content":[{"type":"image_url","image_url":URL}]}]}""".Replace("URL", url, StringComparison.Ordinal);

    private static async Task<(string Message, string Type, string? Param, string Code)> ErrorAsync(HttpResponseMessage answer)
    {
        var error = JsonElement.Parse(await answer.Content.ReadAsStringAsync(Cancellation)).GetProperty("error");
        return (error.GetProperty("message").GetString()!, error.GetProperty("type").GetString()!, error.GetProperty("param").GetString(),
            error.GetProperty("code").GetString()!);
    }
}
