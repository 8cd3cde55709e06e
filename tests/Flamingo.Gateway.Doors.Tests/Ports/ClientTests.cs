using Flamingo.Abstractions;
using Flamingo.Client;

namespace Flamingo.Gateway.Doors.Tests.Ports;

/// <summary>One client asks either port, and finds out which it is.</summary>
public sealed class ClientTests
{
    private static readonly FlamingoRequest Prompt = new([new FlamingoText("a")], new SamplingParameters());

    [Theory(Timeout = 60_000)]
    [InlineData(false), InlineData(true)]
    public async Task A_client_gets_the_same_answers_at_both_ports(bool web)
    {
        var model = new ScriptedModel();
        await using var server = await PortServer.StartAsync(model, TestContext.Current.CancellationToken);
        using var client = new FlamingoClient(new FlamingoClientOptions
        {
            Addresses = [web ? server.HttpAddress : server.GrpcAddress], Tenant = "alice",
        });
        for (var call = 0; call < 3; call++)
        {
            List<AnswerEvent> events = [];
            await foreach (var item in client.GenerateAsync(Prompt)) events.Add(item);
            Assert.Equal([5, 6], events.OfType<AnswerTokens>().SelectMany(tokens => tokens.Ids));
        }

        Assert.Equal("alice", model.Asked.Tenant);
        Assert.Equal("words", (await client.SupportSets.GetAsync(TenantName.Default, "words")).Name);
        model.Refuses = new FlamingoException(FlamingoErrorKind.Overloaded,
            "All places are taken.") { RetryAfter = TimeSpan.FromSeconds(2) };
        var refused = await Assert.ThrowsAsync<FlamingoException>(() => client.GetModelAsync());
        Assert.Equal((FlamingoErrorKind.Overloaded, TimeSpan.FromSeconds(2)), (refused.Kind, refused.RetryAfter));
    }

    [Fact(Timeout = 60_000)]
    public async Task A_client_that_leaves_the_HTTP_port_ends_its_computation()
    {
        var model = new ScriptedModel { Gate = new TaskCompletionSource().Task };
        await using var server = await PortServer.StartAsync(model, TestContext.Current.CancellationToken);
        using var client = new FlamingoClient(server.HttpAddress);
        using var cancellation = new CancellationTokenSource();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (var _ in client.GenerateAsync(Prompt, cancellation.Token)) await cancellation.CancelAsync();
        });
        await model.Left.Task;
    }

    [Fact(Timeout = 60_000)]
    public async Task A_change_that_breaks_is_not_sent_twice()
    {
        var model = new ScriptedModel { Breaks = new FlamingoException(FlamingoErrorKind.Unavailable, "gone") };
        await using var server = await PortServer.StartAsync(model, TestContext.Current.CancellationToken);
        using var client = new FlamingoClient(server.HttpAddress);
        await client.GetModelAsync();
        model.Refuses = new FlamingoException(FlamingoErrorKind.Unavailable, "The language model cannot be reached.");
        var failed = await Assert.ThrowsAsync<FlamingoException>(() => client.SupportSets.PutAsync(new PutSupportSet("words", [])));
        Assert.Contains("The language model cannot be reached.", failed.Message, StringComparison.Ordinal);
    }
}
