using Flamingo.Abstractions;

namespace Flamingo.Client.Tests;

/// <summary>Tests the client against a gateway on a real port whose answers the test scripts.</summary>
public sealed class FlamingoClientTests : IAsyncLifetime
{
    private ScriptedGateway _gateway = null!;
    private FlamingoClient _client = null!;

    public async ValueTask InitializeAsync()
    {
        _gateway = await ScriptedGateway.StartAsync();
        _client = new FlamingoClient(_gateway.Address);
    }

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        await _gateway.DisposeAsync();
    }

    [Fact(Timeout = 60_000)]
    public async Task Several_answers_come_apart_and_what_was_asked_arrives()
    {
        var prompt = new Prompt().Picture(new byte[] { 1 }).Text("x");
        var answer = await _client.CompleteAsync(
            new FlamingoRequest(prompt.Segments, new SamplingParameters { Samples = 2 })
            {
                PinPrefix = TimeSpan.FromSeconds(3), Attention = new AttentionChoice([1], []),
                SupportSet = new SupportSetChoice("words", ShotSelection.Rices, 4),
            },
            TestContext.Current.CancellationToken);
        Assert.Equal(["a dog", "a cat"], answer.Samples.Select(sample => sample.Text));
        Assert.Equal("a dog", answer.Text);
        Assert.Equal([1, 2], answer.Ids);
        Assert.Equal(-0.5f, answer.Samples[0].LogProbabilities.Single().LogProbability);
        Assert.Equal([2, 2], answer.Samples[1].Attention.Single()!.Map!.Shape);
        Assert.Equal(5, answer.Finished.CachedTokens);
        Assert.Equal((1, TimeSpan.FromMilliseconds(5)), (answer.Cache.MemoryHits, answer.Cache.Saved));
        Assert.Equal(("words", 0), (answer.Shots!.Name, Assert.Single(answer.Shots.Examples)));
        var asked = (FlamingoRequest)_gateway.Asked.Single();
        Assert.Equal((TimeSpan.FromSeconds(3), 1), (asked.PinPrefix, asked.Attention!.Layers.Single()));
        Assert.Equal(new("words", ShotSelection.Rices, 4), asked.SupportSet);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_conversation_grows_by_what_was_replied_and_streams()
    {
        var cancellation = TestContext.Current.CancellationToken;
        var conversation = new Conversation().User("what is this?", new byte[] { 1 }, new byte[] { 2 });
        var answer = await _client.ReplyAsync(conversation, new SamplingParameters { Seed = 3 }, cancellation);
        Assert.Equal(("a dog", 5), (answer.Text, answer.Finished.CachedTokens));
        var events = await _client.ChatAsync(conversation.Assistant(answer.Text).User("why?"), cancellation: cancellation)
            .ToListAsync(cancellation);
        Assert.IsType<PicturesResolved>(events[0]);
        Assert.IsType<AnswerFinished>(events[^1]);

        var asked = _gateway.Asked.Cast<ChatTask>().ToList();
        Assert.Equal(3ul, asked[0].Sampling.Seed);
        Assert.Equal([("what is this?", null, 2)], asked[0].Turns.Select(turn => (turn.Text, turn.Reply, turn.Visuals.Count)));
        Assert.Equal(
            [("what is this?", "a dog", 2), ("why?", null, 0)],
            asked[1].Turns.Select(turn => (turn.Text, turn.Reply, turn.Visuals.Count)));
        Assert.All(asked[1].Turns[0].Visuals, visual => Assert.IsType<FlamingoPictureId>(visual));
        Assert.IsType<FlamingoPicture>(conversation.Turns[0].Visuals[0]); // the caller's own object is unchanged

        conversation.Assistant("");
        Assert.Throws<InvalidOperationException>(() => conversation.Assistant("twice"));
        Assert.Throws<InvalidOperationException>(() => new Conversation().Assistant("before anybody spoke"));
    }

    [Fact(Timeout = 60_000)]
    public async Task A_refusal_names_field_problem_and_remedy()
    {
        _gateway.Refusal = FlamingoException.Invalid("segments[0].text", "A problem\nof two lines.", "Send another.");
        var refusal = await Assert.ThrowsAsync<FlamingoException>(() => _client.CompleteAsync(
            new Prompt().Text("x"), cancellation: TestContext.Current.CancellationToken));
        Assert.Equal(FlamingoErrorKind.InvalidArgument, refusal.Kind);
        Assert.Equal(new FieldFault("segments[0].text", "A problem\nof two lines.", "Send another."), Assert.Single(refusal.Faults));
    }

    [Fact(Timeout = 60_000)]
    public async Task Support_sets_are_put_read_listed_and_deleted()
    {
        var (cancellation, sets) = (TestContext.Current.CancellationToken, _client.SupportSets);
        var made = await sets.PutAsync(
            "words", [(new byte[] { 1 }, "a dog"), (new byte[] { 2 }, "a cat")], TimeSpan.FromMinutes(1), expectedVersion: 0, cancellation);
        Assert.Equal(2, made.ExampleCount);
        var put = (PutSupportSet)_gateway.Asked.Last();
        Assert.Equal(("words", TimeSpan.FromMinutes(1), 0L), (put.Name, put.TimeToLive, put.ExpectedVersion));
        Assert.Equal(["a dog", "a cat"], put.Examples.Select(example => example.Text));
        Assert.Equal([1, 2], put.Examples.Select(example => ((FlamingoPicture)example.Visual).Bytes.Span[0]));
        Assert.Equal("text", Assert.Single((await sets.GetAsync("words", cancellation)).Examples).Text);
        Assert.Equal("words", Assert.Single(await sets.ListAsync(cancellation)).Name);
        await sets.DeleteAsync("words", cancellation);
        Assert.Equal(("", "words"), _gateway.Asked.Last());

        // A missing support set must not make the client send pictures again.
        _gateway.Refusal = new FlamingoException(FlamingoErrorKind.NotFound, "There is none.")
        {
            Missing = ["words"], MissingResource = FlamingoException.SupportSet,
        };
        var missing = await Assert.ThrowsAsync<FlamingoException>(() => sets.GetAsync("words", cancellation));
        Assert.Equal((FlamingoErrorKind.NotFound, FlamingoException.SupportSet), (missing.Kind, missing.MissingResource));
    }

    [Fact(Timeout = 60_000)]
    public async Task The_clients_tenant_goes_with_every_call_that_names_none()
    {
        var cancellation = TestContext.Current.CancellationToken;
        using var client = new FlamingoClient(new FlamingoClientOptions { Addresses = [_gateway.Address], Tenant = "team-a" });
        var prompt = new Prompt().Text("x");
        await client.CompleteAsync(prompt, cancellation: cancellation);
        await client.RankAsync(prompt, ["y"], cancellation);
        await client.EncodeAsync([new byte[] { 1 }], cancellation: cancellation);
        await client.SupportSets.PutAsync("words", [(new byte[] { 1 }, "a dog")], cancellation: cancellation);
        await client.SupportSets.GetAsync("words", cancellation);
        await client.SupportSets.ListAsync(cancellation);
        await client.SupportSets.DeleteAsync("words", cancellation);
        await client.CompleteAsync(new FlamingoRequest(prompt.Segments, new()) { Tenant = "team-b" }, cancellation);
        Assert.Equal([.. Enumerable.Repeat("team-a", 7), "team-b"], _gateway.Asked.Select(asked => asked switch
        {
            FlamingoRequest request => request.Tenant,
            FlamingoRankRequest request => request.Tenant,
            FlamingoEncodeRequest request => request.Tenant,
            PutSupportSet request => request.Tenant,
            _ => (((string Tenant, string))asked).Tenant,
        }));

        foreach (var wrong in new[] { "two words", "a/b", "é", new string('a', 129) })
        {
            Assert.Throws<ArgumentException>(() => new FlamingoClient(new FlamingoClientOptions { Tenant = wrong }));
            var refusal = await Assert.ThrowsAsync<FlamingoException>(() => client.SupportSets.ListAsync(wrong, cancellation));
            Assert.Equal("metadata flamingo-tenant", Assert.Single(refusal.Faults).Field);
        }
    }

    /// <summary>The same program can call a model in its own process and a model on a server.</summary>
    [Fact(Timeout = 60_000)]
    public async Task The_short_forms_serve_whatever_implements_the_interfaces()
    {
        var cancellation = TestContext.Current.CancellationToken;
        foreach (var (flamingo, tasks) in new (IFlamingo, ITasks)[] { (_client, _client), (_gateway, _gateway) })
        {
            Assert.Equal("a dog", (await flamingo.CompleteAsync(new Prompt().Text("x"), cancellation: cancellation)).Text);
            Assert.Equal("a dog", (await tasks.ReplyAsync(new Conversation().User("hello"), cancellation: cancellation)).Text);
        }
    }
}
