using Flamingo.Abstractions;
using Flamingo.LanguageModel.Engine.Generation;
using Flamingo.LanguageModel.Engine.Tests.Scripted;
using Flamingo.Stages;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Flamingo.LanguageModel.Engine.Tests.Generation;

/// <summary>Which tokens become text, and where an answer ends. The model generates the tokens that the test lists.</summary>
public sealed class AnswerTextTests
{
    private const int Stop = ScriptedModel.Stop;
    private static readonly string[] Words = ["red ", "circle", " and ", "blue", "h~", "é", "END", "E", "ND"];

    [Fact]
    public async Task Ids_hold_the_stop_token_and_the_text_does_not()
    {
        var (text, ids, finished, _) = await Say([0, 1, Stop]);
        Assert.Equal("red circle", text);
        Assert.Equal([0, 1, Stop], ids);
        Assert.Equal(
            (FinishReason.Stop, 2, 3, "digest"),
            (finished.Reason, finished.PromptTokens, finished.GeneratedTokens, finished.Digests.Language));
    }

    [Fact]
    public async Task A_callers_stop_token_stops_like_the_models_own()
    {
        var (text, ids, finished, _) = await Say([0, 3, 1], new() { StopTokens = [3] });
        Assert.Equal(("red ", FinishReason.Stop), (text, finished.Reason));
        Assert.Equal([0, 3], ids);
    }

    [Fact]
    public async Task Stops_at_its_full_length()
    {
        var (_, ids, finished, _) = await Say([0, 0, 0, 0, 0], answer: 3);
        Assert.Equal((3, FinishReason.Length), (ids.Count, finished.Reason));
    }

    [Fact]
    public async Task A_held_back_character_comes_out_whole_and_a_cut_one_at_the_end()
    {
        var whole = await Say([4, 5, Stop]);
        Assert.Equal("hé", whole.Text);
        Assert.Equal(["", "hé", ""], whole.Pieces);
        Assert.Equal("h", (await Say([4, Stop])).Text);
        Assert.Equal("h", (await Say([4], answer: 1)).Text);
    }

    [Theory]
    [InlineData(new[] { 0, 6, 1 }, "red ", 2)]
    [InlineData(new[] { 0, 7, 8, 1 }, "red ", 3)]
    public async Task A_stop_string_never_shows_even_across_tokens(int[] script, string expected, int tokens)
    {
        var (text, ids, finished, _) = await Say(script, new() { StopStrings = ["END", "nowhere"] });
        Assert.Equal((expected, FinishReason.Stop, tokens), (text, finished.Reason, ids.Count));
    }

    [Fact]
    public async Task What_might_have_become_a_stop_string_comes_out_when_it_does_not()
    {
        Assert.Equal("Ecircle", (await Say([7, 1, Stop], new() { StopStrings = ["END"] })).Text);
        Assert.Equal("E", (await Say([7, Stop], new() { StopStrings = ["END"] })).Text);
        Assert.Equal("E", (await Say([7], new() { StopStrings = ["END"] }, answer: 1)).Text);
    }

    [Fact]
    public async Task The_first_tokens_do_not_end_an_answer()
    {
        // The model wants to stop at once. The words behind it in its order, 0 and 3, are the next best.
        var (text, ids, finished, _) = await Say([Stop, Stop, 3, Stop, 1], new() { MinTokens = 3, StopTokens = [3] });
        Assert.Equal([0, 0, 0, Stop], ids);
        Assert.Equal(("red red red ", FinishReason.Stop), (text, finished.Reason));
        (_, ids, finished, _) = await Say([Stop, Stop, Stop], new() { MinTokens = 3 }, answer: 3);
        Assert.Equal([0, 0, 0], ids);
        Assert.Equal(FinishReason.Length, finished.Reason);
    }

    [Theory]
    [InlineData(new[] { 6, 0, 1, Stop }, 1, "ENDred circle", 4)] // complete within the first token
    [InlineData(new[] { 6, 0, 6, 1 }, 1, "ENDred ", 3)]
    [InlineData(new[] { 0, 7, 8, 1 }, 2, "red ", 3)] // completed by the third token
    [InlineData(new[] { 0, 7, 8, 1, Stop }, 3, "red ENDcircle", 5)]
    [InlineData(new[] { 7, 8 }, 2, "END", 2)] // the full length is reached
    public async Task A_stop_string_within_the_first_tokens_is_text(int[] script, int least, string expected, int tokens)
    {
        var (text, ids, _, _) = await Say(
            script, new() { StopStrings = ["END"], MinTokens = least }, answer: Math.Max(2, script.Length));
        Assert.Equal((expected, tokens), (text, ids.Count));
    }

    private static async Task<(string Text, List<int> Ids, AnswerFinished Finished, List<string> Pieces)> Say(int[] script,
        SamplingParameters? sampling = null, int answer = 20)
    {
        using var buffer = new AnswerBuffer(TimeSpan.FromHours(1), "no option", new FakeTimeProvider());
        var engine = new StepEngine(new Script(script), new EngineLimits(4, 4, 8, 8, 4), new FakeTimeProvider(), NullLogger.Instance);
        var terms = new AnswerTerms([Stop], () => new ScriptedText(Words), buffer, "digest", new FakeTimeProvider());
        engine.Submit(new SampledAnswers(Prompts.Of("ab", answer), Prompts.Terms(), sampling ?? new(), null, terms));
        for (var steps = 0; await engine.StepAsync(default); steps++) Assert.True(steps < 100);

        var events = await buffer.ReadAllAsync(TestContext.Current.CancellationToken)
            .ToListAsync(TestContext.Current.CancellationToken);
        var tokens = events.OfType<AnswerTokens>().ToList();
        Assert.Equal(tokens.Count + 1, events.Count);
        var pieces = tokens.Select(generated => generated.Text).ToList();
        return (string.Concat(pieces), [
            .. tokens.SelectMany(generated => generated.Ids)], Assert.IsType<AnswerFinished>(events[^1]), pieces);
    }

    /// <summary>Generates these ids, one per step, for every prompt.</summary>
    private sealed class Script(int[] ids) : IModelRunner
    {
        private int _next;

        public ModelMemory Memory { get; } = new(16, 4, 1);

        public Task<IReadOnlyList<StepOutput>> RunAsync(ScheduledBatch batch, CancellationToken cancellation)
        {
            var logits = new float[ScriptedModel.Vocabulary];
            logits[ids[_next++]] = 10;
            return Task.FromResult<IReadOnlyList<StepOutput>>([new StepOutput([logits], [], null)]);
        }
    }
}
