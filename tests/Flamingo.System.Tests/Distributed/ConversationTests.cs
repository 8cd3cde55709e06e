using Flamingo.Abstractions;
using Flamingo.Client;
using Flamingo.SystemTests.Embedded;
using Flamingo.SystemTests.Episodes;
using Flamingo.Testing;
using Flamingo.Wire;
using Grpc.Core;
using Grpc.Net.Client;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.SystemTests.Distributed;

/// <summary>A conversation with four processes equals the conversation with one process.</summary>
public sealed class ConversationTests(Stack shared) : HostTests(shared)
{
    private const string HowMany = "how many shapes are there?", Star = "is there a yellow star?";

    [Fact(Timeout = 180_000)]
    public async Task Four_processes_reply_as_one_does_and_find_what_was_said_in_the_cache()
    {
        var folder = NewFolder();
        ChatCheckpoint.Write(folder);
        var language = await StartReadyAsync("LanguageModel", null, ("Model__Directory", folder));
        var gateway = await StartGatewayAsync(language: language.Port);
        await using var embedded = await EmbeddedFlamingo.StartAsync(folder, ("Model:Threads", "1"));
        using var distributed = new FlamingoClient(gateway.Address);

        var (first, second) = (new ChatTurn([Episode.Picture("0001.png")], HowMany), new ChatTurn([Episode.Picture("0002.png")], Star));
        ChatTask[] tasks = [new([first], new()), new([first with { Reply = "three" }, second], new()),
            new([first], new() { Temperature = 1.5f, Seed = 7, MaxTokens = 20 })];
        foreach (var task in tasks)
        {
            var (here, there) = (await embedded.Tasks.ReplyAsync(task, Cancellation), await distributed.ReplyAsync(task, Cancellation));
            Assert.Equal(here.Ids, there.Ids);
            Assert.Equal((here.Text, here.Finished.PromptTokens, here.Finished.CachedTokens),
                (there.Text, there.Finished.PromptTokens, there.Finished.CachedTokens));
        }

        // The client's own method, with another tenant, whose cache is empty.
        using var client = new FlamingoClient(new FlamingoClientOptions { Addresses = [gateway.Address], Tenant = "chat" });
        var conversation = new Conversation().User(HowMany, Episode.Picture("0001.png").Bytes);
        var one = await client.ReplyAsync(conversation, cancellation: Cancellation);
        Assert.Equal(0, one.Finished.CachedTokens);
        Assert.DoesNotContain("<|endofchunk|>", one.Text, StringComparison.Ordinal);
        var two = await client.ReplyAsync(conversation.Assistant(one.Text).User(Star), cancellation: Cancellation);
        Assert.Equal(PictureSource.Memory, Assert.Single(two.Pictures).Source);
        // all complete blocks of 8 tokens
        Assert.InRange(two.Finished.CachedTokens, one.Finished.PromptTokens - 7, two.Finished.PromptTokens);
        var parts = await client.ChatAsync(conversation, cancellation: Cancellation).ToListAsync(Cancellation);
        Assert.Equal(two.Text, string.Concat(parts.OfType<AnswerTokens>().Select(part => part.Text)));
    }

    [Fact(Timeout = 60_000)]
    public async Task A_model_without_a_template_and_a_wrong_turn_are_refused_by_field()
    {
        using var client = new FlamingoClient(Shared.Gateway.Address);
        var refused = await Assert.ThrowsAsync<FlamingoException>(
            () => client.ReplyAsync(new Conversation().User("hello"), cancellation: Cancellation));
        var fault = Assert.Single(refused.Faults);
        Assert.Equal((FlamingoErrorKind.InvalidArgument, "turns"), (refused.Kind, fault.Field));
        Assert.Contains("prompts.chat", fault.Remedy, StringComparison.Ordinal);

        // a message that the client cannot send
        using var channel = GrpcChannel.ForAddress(Shared.Gateway.Address);
        var nothing = new V1.ChatRequest { Turns = { new V1.ChatTurn { Text = "a" }, new V1.ChatTurn { Visuals = { new V1.Visual() } } } };
        using var call = new V1.Tasks.TasksClient(channel).Chat(nothing, cancellationToken: Cancellation);
        var wrong = (await Assert.ThrowsAsync<RpcException>(
            () => call.ResponseStream.MoveNext(Cancellation))).ToFlamingoException("Gateway");
        Assert.Equal("turns[1].visuals[0]", Assert.Single(wrong.Faults).Field);
    }
}
