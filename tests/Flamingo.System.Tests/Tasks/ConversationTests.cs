using System.Text.RegularExpressions;
using Flamingo.Abstractions;
using Flamingo.Fixtures.Reference;
using Flamingo.Gateway.Tasks;
using Flamingo.Import;
using Flamingo.SystemTests.Embedded;
using Flamingo.SystemTests.Episodes;
using Flamingo.Testing;

namespace Flamingo.SystemTests.Tasks;

/// <summary>Tests conversations with complete models in one process.</summary>
public sealed partial class ConversationTests : IDisposable
{
    private const int Block = 8;        // tokens per cache block
    private const int A = 259, End = 543; // IDEFICS' twin: "▁a" and <end_of_utterance>

    private readonly string _folder = Directory.CreateTempSubdirectory("flamingo-chat-").FullName;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact(Timeout = 300_000)]
    public async Task Turns_that_were_answered_are_the_originals_examples()
    {
        ChatCheckpoint.Write(_folder);
        await using var embedded = await EmbeddedFlamingo.StartAsync(_folder);
        var (asked, different) = (0, new List<string>());
        foreach (var golden in Episode.Golden.Answers.Where(
            golden => golden.Shots > 0 && Episode.All[golden.Episode].Task == "vqa").Take(30))
        {
            var episode = Episode.All[golden.Episode];
            ChatTurn[] turns = [.. episode.Shots.Take(golden.Shots).Select(Answered),
                new([Episode.Picture(episode.Query.Picture)], Question().Match(episode.Query.Prompt).Groups[1].Value)];
            var reply = await embedded.Tasks.ReplyAsync(new(turns, new() { MaxTokens = 14 }), Cancellation);
            asked++;
            if (!reply.Ids.SequenceEqual(golden.Ids))
                different.Add($"episode {golden.Episode}: '{reply.Text}', the original '{golden.Text}'");
        }

        Assert.Equal(30, asked);
        Assert.True(different.Count <= 1, string.Join('\n', different)); // the same number of near-ties as in EpisodesTests
    }

    [Fact(Timeout = 120_000)]
    public async Task The_next_turn_computes_nothing_of_the_last_again()
    {
        ChatCheckpoint.Write(_folder);
        await using var embedded = await EmbeddedFlamingo.StartAsync(_folder);
        var (first, second) = (new ChatTurn([Episode.Picture("0001.png")], "how many shapes are there?"),
            new ChatTurn([Episode.Picture("0002.png")], "is there a yellow star?"));
        var one = await embedded.Tasks.ReplyAsync(new([first], new()), Cancellation);
        Assert.Equal((0, FinishReason.Stop), (one.Finished.CachedTokens, one.Finished.Reason));
        var two = await embedded.Tasks.ReplyAsync(new([first with { Reply = one.Text }, second], new()), Cancellation);
        Assert.Equal(Computed(one), two.Finished.CachedTokens);
        Assert.True(two.Finished.CachedTokens > 0);
        Assert.Equal([PictureSource.Memory, PictureSource.Encoded], two.Pictures.Select(picture => picture.Source));
        var three = await embedded.Tasks.ReplyAsync(
            new([first with { Reply = one.Text }, second with { Reply = two.Text }, new([], "why?")], new()), Cancellation);
        Assert.Equal(Computed(two), three.Finished.CachedTokens);
        Assert.True(three.Finished.CachedTokens > two.Finished.CachedTokens);

        // other tenants do not find it
        var other = await embedded.Tasks.ReplyAsync(new([first with { Reply = one.Text }, second], new()) { Tenant = "other" },
            Cancellation);
        Assert.Equal((0, two.Text), (other.Finished.CachedTokens, other.Text));
    }

    // Ids that Hugging Face's @huggingface/tokenizers 0.2.0 computes with the test model's tokenizer.json; for the texts of golden.json,
    // the ids of that file.
    [Fact(Timeout = 120_000)]
    public async Task An_instruct_idefics_reads_the_conversation_token_for_token_as_its_own_tokenizer_writes_it()
    {
        await using var embedded = await IdeficsAsync();
        var recorder = new Recorder(embedded.Flamingo);
        var tasks = new TemplateTasks(recorder);
        var first = new ChatTurn([Reference("picture-0.png")], "what is this?");
        await tasks.ReplyAsync(new([first], new() { MaxTokens = 1 }), Cancellation);
        Assert.Equal(
            [1, 481, 88, 484, 294, 500, 541, 542, 541, 481, 377, 265, 278, 489, 260, 508, 543, 481, 13, 68, 484, 484, 260, 488, 279, 488,
                500],
            await recorder.TokenizeAsync(embedded.LanguageModel, Cancellation));

        ChatTurn[] turns = [first with { Reply = "a red circle" }, new([], "how many are there?", "two"),
            new([Reference("picture-1.jpg"), Reference("picture-2.png")], "and here?")];
        await tasks.ReplyAsync(new(turns, new() { MaxTokens = 1 }), Cancellation);
        Assert.Equal(
            [
                1, 481, 88, 484, 294, 500, 541, 542, 541, 481, 377, 265, 278, 489, 260, 508, 543, 481, 13, 68, 484, 484, 260, 488, 279, 488,
                500, 259, 367, 322, 543,
                481, 13, 88, 484, 294, 500, 481, 425, 427, 390, 389, 508, 543, 481, 13, 68, 484, 484, 260, 488, 279, 488, 500, 392, 543,
                481, 13, 88, 484, 294, 500, 541, 542, 541, 542, 541, 259, 491, 505, 286, 280, 508, 543, 481, 13, 68, 484, 484, 260, 488,
                279, 488, 500,
            ],
            await recorder.TokenizeAsync(embedded.LanguageModel, Cancellation));
    }

    [Fact(Timeout = 120_000)]
    public async Task An_instruct_idefics_finds_its_own_reply_in_the_cache_and_says_no_end_of_utterance()
    {
        await using var embedded = await IdeficsAsync();
        var first = new ChatTurn([Reference("picture-0.png")], "what is this?");
        // words that its tokenizer would write so
        var said = new SamplingParameters { AllowedTokens = [A, End], LogitBias = new Dictionary<int, float> { [A] = 100 }, MaxTokens = 9 };
        var one = await embedded.Tasks.ReplyAsync(new([first], said), Cancellation);
        // without the space before the first word
        Assert.Equal((FinishReason.Length, "a a a a a a a a a"), (one.Finished.Reason, one.Text));
        var two = await embedded.Tasks.ReplyAsync(new([first with { Reply = one.Text }, new([], "why?")], new() { AllowedTokens = [End] }),
            Cancellation);
        Assert.Equal(Computed(one), two.Finished.CachedTokens);
        Assert.True(two.Finished.CachedTokens > one.Finished.PromptTokens, "the reply too, not the prompt alone");
        Assert.Equal((FinishReason.Stop, ""), (two.Finished.Reason, two.Text));
        Assert.Equal([End], two.Ids);

        var three = await embedded.Tasks.ReplyAsync(
            new([first with { Reply = one.Text }, new([], "why?", two.Text), new([], "who?")], new() { MaxTokens = 1 }), Cancellation);
        Assert.Equal(Computed(two), three.Finished.CachedTokens); // an empty reply is rendered as an empty text
    }

    [Fact(Timeout = 60_000)]
    public async Task A_model_that_holds_no_conversation_refuses()
    {
        await using var embedded = await EmbeddedFlamingo.StartAsync();
        var refused = await Assert.ThrowsAsync<FlamingoException>(
            () => embedded.Tasks.ReplyAsync(new([new([], "hello")], new()), Cancellation));
        Assert.Equal("turns", Assert.Single(refused.Faults).Field);
    }

    // The complete blocks that were computed. The last token was generated, but not used as input.
    private static int Computed(Answer reply) => (reply.Finished.PromptTokens + reply.Finished.GeneratedTokens - 1) / Block * Block;

    private static FlamingoPicture Reference(
        string name) => new(File.ReadAllBytes(RepositoryFiles.Path("tests", "reference", "pictures", name)));

    private static ChatTurn Answered(EpisodeShot shot)
    {
        var words = Question().Match(shot.Text);
        return new([Episode.Picture(shot.Picture)], words.Groups[1].Value, words.Groups[2].Value);
    }

    private async Task<EmbeddedFlamingo> IdeficsAsync()
    {
        var model = IdeficsImport.Run(new IdeficsSource(RepositoryFiles.Path("tests", "reference", "families", "idefics")),
            Path.Combine(_folder, "idefics"), null, Cancellation);
        return await EmbeddedFlamingo.StartAsync(model.Path);
    }

    [GeneratedRegex("^Question:(.*) Short answer:(.*)$")]
    private static partial Regex Question();
}
