using Flamingo.Client;
using Flamingo.Protos.V1;
using Flamingo.Abstractions;
using Flamingo.Stages;
using Flamingo.SystemTests.Embedded;
using Flamingo.SystemTests.Episodes;
using Flamingo.SystemTests.Tasks;
using Flamingo.Testing;
using Flamingo.Transport.Remote;
using Grpc.Core;

namespace Flamingo.SystemTests.Distributed;

/// <summary>A conversation with four processes is the one with one process.</summary>
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

        var (first, second) = (new Abstractions.ChatTurn([Episode.Picture("0001.png")], HowMany), new Abstractions.ChatTurn([Episode.Picture("0002.png")], Star));
        ChatTask[] tasks = [new([first], new()), new([first with { Reply = "three" }, second], new()), new([first], new() { Temperature = 1.5f, Seed = 7, MaxTokens = 20 })];
        foreach (var task in tasks)
        {
            var (here, there) = (await Replied.ReadAsync(embedded.Tasks, task, Cancellation), await Replied.ReadAsync(distributed, task, Cancellation));
            Assert.Equal(here.Ids, there.Ids);
            Assert.Equal((here.Text, here.Finished.PromptTokens, here.Finished.CachedTokens), (there.Text, there.Finished.PromptTokens, there.Finished.CachedTokens));
        }

        // the client's own form, as another tenant, which finds nothing of the above
        using var client = new FlamingoClient(gateway.Address, "chat");
        var conversation = new Conversation().User(HowMany, Episode.Picture("0001.png").Bytes);
        var one = await client.ChatAsync(conversation, cancellation: Cancellation);
        Assert.Equal(0, one.Finished.CachedTokens);
        Assert.DoesNotContain("<|endofchunk|>", one.Text, StringComparison.Ordinal);
        var two = await client.ChatAsync(conversation.Assistant(one.Text).User(Star), cancellation: Cancellation);
        Assert.Equal(Protos.V1.PictureSource.Memory, Assert.Single(two.Pictures).Source);
        Assert.InRange(two.Finished.CachedTokens, one.Finished.PromptTokens - 7, two.Finished.PromptTokens); // all whole blocks, of 8 tokens
        var parts = await client.StreamChatAsync(conversation, cancellation: Cancellation).ToListAsync(Cancellation);
        Assert.Equal(two.Text, string.Concat(parts.Where(part => part.EventCase == GenerateResponse.EventOneofCase.Tokens).Select(part => part.Tokens.Text)));
    }

    [Fact(Timeout = 60_000)]
    public async Task A_model_without_a_template_and_a_wrong_turn_are_refused_by_field()
    {
        using var client = new FlamingoClient(Shared.Gateway.Address);
        var refused = await Assert.ThrowsAsync<FlamingoException>(() => client.ChatAsync(new Conversation().User("hello"), cancellation: Cancellation));
        var fault = Assert.Single(refused.Faults);
        Assert.Equal((StatusCode.InvalidArgument, "turns"), (refused.StatusCode, fault.Field));
        Assert.Contains("prompts.chat", fault.Remedy, StringComparison.Ordinal);

        var nothing = new ChatRequest { Turns = { new Protos.V1.ChatTurn { Text = "a" }, new Protos.V1.ChatTurn { Visuals = { new Visual() } } } };
        Assert.Equal("turns[1].visuals[0]", Assert.Single((await Assert.ThrowsAsync<FlamingoException>(() => client.ChatAsync(nothing, Cancellation))).Faults).Field);
    }
}
