using System.Net;
using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Client;
using Grpc.Core;

namespace Flamingo.Gateway.Security.Tests.Limits;

/// <summary>What a tenant may use per minute and at once, over gRPC and HTTP.</summary>
public sealed class TenantLimitsTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private static FlamingoRequest Request => new([new FlamingoText("x")], new SamplingParameters());

    private static FlamingoPictureId Picture => new(new string('0', 64));

    [Fact(Timeout = 60_000)]
    public async Task Requests_of_all_keys_of_a_tenant_count_together_and_those_of_others_do_not()
    {
        await using var server = await SecuredServer.StartAsync(options: ("Limits:RequestsPerMinute", "6"));
        var (one, two, other) = (server.NewKey("berlin"), server.NewKey("berlin"), server.NewKey("paris"));
        for (var call = 0; call < 3; call++) await server.Client(one).GetModelAsync(Cancellation);
        for (var call = 0; call < 3; call++) Assert.Equal(HttpStatusCode.OK, (await server.GetAsync("/v1/models", two)).StatusCode);

        var refused = await Assert.ThrowsAsync<FlamingoException>(() => server.Client(one).GetModelAsync(Cancellation));
        AssertOverloaded(refused, 10, "Limits:RequestsPerMinute");
        using var answer = await server.GetAsync("/v1/models", two);
        Assert.Equal((HttpStatusCode.TooManyRequests, TimeSpan.FromSeconds(10)), (answer.StatusCode, answer.Headers.RetryAfter!.Delta));
        using var body = JsonDocument.Parse(await answer.Content.ReadAsStreamAsync(Cancellation), default);
        Assert.Equal("rate_limit_exceeded", body.RootElement.GetProperty("error").GetProperty("code").GetString());
        await server.Client(other).GetModelAsync(Cancellation);

        // Health checks go on, and so does the tenant when its time has come.
        for (var check = 0; check < 20; check++)
            await new Grpc.Health.V1.Health.HealthClient(server.Channel()).CheckAsync(new(), cancellationToken: Cancellation);
        server.Time.Advance(TimeSpan.FromSeconds(10));
        await server.Client(one).GetModelAsync(Cancellation);
    }

    [Fact(Timeout = 60_000)]
    public async Task More_requests_at_once_are_refused_until_one_has_ended()
    {
        await using var server = await SecuredServer.StartAsync(options: ("Limits:ConcurrentRequests", "2"));
        var (key, other) = (server.NewKey("berlin"), server.NewKey("paris"));
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        server.Flamingo.Gate = gate.Task;
        var client = server.Client(key);
        var held = new List<Task> { client.CompleteAsync(Request, Cancellation), client.CompleteAsync(Request, Cancellation) };
        for (var call = 0; call < 2; call++) await server.Flamingo.Entered.WaitAsync(Cancellation);

        AssertOverloaded(
            await Assert.ThrowsAsync<FlamingoException>(() => client.GetModelAsync(Cancellation)), 1, "Limits:ConcurrentRequests");
        using var answer = await server.GetAsync("/v1/models", key);
        Assert.Equal((HttpStatusCode.TooManyRequests, TimeSpan.FromSeconds(1)), (answer.StatusCode, answer.Headers.RetryAfter!.Delta));
        held.Add(server.Client(other).CompleteAsync(Request, Cancellation));
        await server.Flamingo.Entered.WaitAsync(Cancellation);
        gate.SetResult();
        await Task.WhenAll(held);
        await AgainAsync(() => client.GetModelAsync(Cancellation)); // the server ends a call just after its caller has the answer
    }

    [Fact(Timeout = 60_000)]
    public async Task Tokens_are_charged_as_used_and_a_call_may_overdraw()
    {
        // An answer takes 120 tokens. At 100 a minute the first one overdraws by 20.
        await using var server = await SecuredServer.StartAsync(options: ("Limits:TokensPerMinute", "100"));
        var client = server.Client(server.NewKey("berlin"));
        await client.CompleteAsync(Request, Cancellation);
        var refused = await Assert.ThrowsAsync<FlamingoException>(() => client.CompleteAsync(Request, Cancellation));
        AssertOverloaded(refused, 21 * 0.6, "Limits:TokensPerMinute");
        var rank = new FlamingoRankRequest([new FlamingoText("x")], ["a", "b"]);
        AssertOverloaded(
            await Assert.ThrowsAsync<FlamingoException>(() => client.RankAsync(rank, Cancellation)), 21 * 0.6, "Limits:TokensPerMinute");
        await client.GetModelAsync(Cancellation); // uses no tokens
        await client.EncodeAsync(new FlamingoEncodeRequest([Picture]), Cancellation);

        server.Time.Advance(refused.RetryAfter!.Value);
        await client.RankAsync(rank, Cancellation); // 70 + 2 · 5 tokens
        AssertOverloaded(
            await Assert.ThrowsAsync<FlamingoException>(() => client.RankAsync(rank, Cancellation)), 80 * 0.6, "Limits:TokensPerMinute");
    }

    [Fact(Timeout = 60_000)]
    public async Task An_answer_that_is_given_up_is_charged_what_it_has_generated_and_an_estimate_of_its_prompt()
    {
        await using var server = await SecuredServer.StartAsync(options: ("Limits:TokensPerMinute", "1000"));
        server.Flamingo.IsEndless = true;
        var client = server.Client(server.NewKey("berlin"));
        var request = new FlamingoRequest([new FlamingoText(new string('x', 8000)), Picture], new SamplingParameters());
        await foreach (var item in client.GenerateAsync(request, Cancellation))
            if (item is AnswerTokens) break;

        // The server sees a little later that the caller has gone. Until then, calls that use nothing pass.
        (server.Flamingo.IsEndless, server.Flamingo.IsFree) = (false, true);
        FlamingoException? refused = null;
        while (refused is null)
        {
            Cancellation.ThrowIfCancellationRequested();
            refused = await Record.ExceptionAsync(() => client.CompleteAsync(Request, Cancellation)) as FlamingoException;
        }

        // 2000 tokens of text and one picture are more than two minutes' tokens, of which one had been left.
        Assert.True(refused.RetryAfter > TimeSpan.FromMinutes(1), $"{refused.RetryAfter}");
    }

    [Fact(Timeout = 60_000)]
    public async Task Pictures_count_by_bytes_and_by_id_in_prompts_and_in_support_sets()
    {
        await using var server = await SecuredServer.StartAsync(options: ("Limits:PicturesPerMinute", "6"));
        var client = server.Client(server.NewKey("berlin"));
        await client.EncodeAsync(new FlamingoEncodeRequest([Picture]), Cancellation);
        await client.CompleteAsync(Request with { Segments = [Picture, new FlamingoPicture(new byte[] { 1 })] }, Cancellation);
        await client.SupportSets.PutAsync(
            new PutSupportSet("s", [new(new FlamingoPicture(new byte[] { 1 }), "x"), new(new FlamingoPicture(new byte[] { 2 }), "y")]),
            Cancellation);
        // One is left. A clip of three files may take it, and overdraws by two.
        var clip = new FlamingoVideo(new VisualInput([new byte[] { 1 }, new byte[] { 2 }, new byte[] { 3 }], 3));
        await client.EncodeAsync(new FlamingoEncodeRequest([clip]), Cancellation);
        Func<Task>[] calls =
        [
            () => client.EncodeAsync(new FlamingoEncodeRequest([Picture]), Cancellation),
            () => client.CompleteAsync(Request with { Segments = [Picture] }, Cancellation),
            () => client.SupportSets.PutAsync(new PutSupportSet("s", [new(new FlamingoPicture(new byte[] { 1 }), "x")]), Cancellation),
        ];
        foreach (var call in calls)
            AssertOverloaded(await Assert.ThrowsAsync<FlamingoException>(call), 30, "Limits:PicturesPerMinute");
        await client.CompleteAsync(Request, Cancellation); // a prompt without pictures
        server.Time.Advance(TimeSpan.FromSeconds(30));
        await calls[0]();
    }

    [Fact(Timeout = 60_000)]
    public async Task Without_keys_the_header_names_the_tenant()
    {
        await using var server = await SecuredServer.StartAsync(hasKeys: false, options: ("Limits:RequestsPerMinute", "1"));
        await server.Client(tenant: "berlin").GetModelAsync(Cancellation);
        await Assert.ThrowsAsync<FlamingoException>(() => server.Client(tenant: "berlin").GetModelAsync(Cancellation));
        await server.Client(tenant: "paris").GetModelAsync(Cancellation);
        await server.Client().GetModelAsync(Cancellation);
        await Assert.ThrowsAsync<FlamingoException>(() => server.Client().GetModelAsync(Cancellation));
    }

    private static void AssertOverloaded(FlamingoException refused, double seconds, string option)
    {
        Assert.Equal(FlamingoErrorKind.Overloaded, refused.Kind);
        Assert.Equal(StatusCode.ResourceExhausted, ((RpcException)refused.InnerException!).StatusCode);
        Assert.Equal(seconds, refused.RetryAfter!.Value.TotalSeconds, 1);
        Assert.Contains(option, refused.Message, StringComparison.Ordinal);
    }

    private static async Task AgainAsync(Func<Task> call)
    {
        while (true)
        {
            Cancellation.ThrowIfCancellationRequested();
            if (await Record.ExceptionAsync(call) is not FlamingoException { Kind: FlamingoErrorKind.Overloaded } refused) return;
            Assert.NotNull(refused.RetryAfter);
        }
    }
}
