using Flamingo.LanguageModel.Engine.Generation;
using Flamingo.LanguageModel.Engine.Scheduling;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.Tests.Generation;

public sealed class GenerationEngineTests
{
    private const int Stop = 15;
    private static readonly string[] Words = ["red ", "circle", " and ", "blue", "h~", "é", "END", "E", "ND"];

    [Fact]
    public async Task Ids_hold_the_stop_token_and_the_text_does_not()
    {
        var (text, ids, finished, _) = await Generate(new ScriptedRunner(0, 1, Stop), new());
        Assert.Equal("red circle", text);
        Assert.Equal([0, 1, Stop], ids);
        Assert.Equal((FinishReason.Stop, 2, 3, "digest"), (finished.Reason, finished.PromptTokens, finished.GeneratedTokens, finished.WeightsDigest));
    }

    [Fact]
    public async Task A_callers_stop_token_stops_like_the_models_own()
    {
        var (text, ids, finished, _) = await Generate(new ScriptedRunner(0, 3, 1), new() { StopTokens = [3] });
        Assert.Equal(("red ", FinishReason.Stop), (text, finished.Reason));
        Assert.Equal([0, 3], ids);
    }

    [Theory]
    [InlineData(3, 100)]
    [InlineData(100, 3)]
    public async Task Stops_at_max_tokens_and_at_the_context(int mostTokens, int room)
    {
        var runner = new ScriptedRunner(0);
        var (_, ids, finished, _) = await Generate(runner, new() { MaxTokens = mostTokens }, capacity: 2 + Math.Min(mostTokens, room));
        Assert.Equal((3, FinishReason.Length), (ids.Count, finished.Reason));
        Assert.Equal(3, runner.Steps); // the last token is not decoded for nothing
    }

    [Fact]
    public async Task A_held_back_character_comes_out_whole_and_a_cut_one_at_the_end()
    {
        var whole = await Generate(new ScriptedRunner(4, 5, Stop), new());
        Assert.Equal("hé", whole.Text);
        Assert.Equal(["", "hé", ""], whole.Pieces);
        Assert.Equal("h", (await Generate(new ScriptedRunner(4, Stop), new())).Text);
        Assert.Equal("h", (await Generate(new ScriptedRunner(4), new(), capacity: 3)).Text);
    }

    [Theory]
    [InlineData(new[] { 0, 6, 1 }, "red ", 2)]
    [InlineData(new[] { 0, 7, 8, 1 }, "red ", 3)]
    public async Task A_stop_string_never_shows_even_across_tokens(int[] script, string expected, int tokens)
    {
        var (text, ids, finished, _) = await Generate(new ScriptedRunner(script), new() { StopStrings = ["END", "nowhere"] });
        Assert.Equal((expected, FinishReason.Stop, tokens), (text, finished.Reason, ids.Count));
    }

    [Fact]
    public async Task What_might_have_become_a_stop_string_comes_out_when_it_does_not()
    {
        var (text, _, _, _) = await Generate(new ScriptedRunner(7, 1, Stop), new() { StopStrings = ["END"] });
        Assert.Equal("Ecircle", text);
        Assert.Equal("E", (await Generate(new ScriptedRunner(7, Stop), new() { StopStrings = ["END"] })).Text);
        Assert.Equal("E", (await Generate(new ScriptedRunner(7), new() { StopStrings = ["END"] }, capacity: 3)).Text);
    }

    [Fact]
    public async Task Non_finite_logits_fail_this_request_alone()
    {
        var runner = new ScriptedRunner(0, 1, Stop) { Spoil = (step, logits) => logits[9] = step == 1 ? float.NaN : 0 };
        var engine = Engine(runner);
        var exception = await Assert.ThrowsAsync<StageException>(() => Read(engine, new()));
        Assert.Equal(StageErrorKind.Internal, exception.Kind);
        Assert.Equal(0, runner.Live);
        runner.Spoil = (_, _) => { };
        Assert.Equal("red circle", (await Read(engine, new())).Text);
    }

    [Fact]
    public async Task Cancelling_in_mid_answer_frees_the_lease_and_lets_the_next_one_in()
    {
        var arrived = new TaskCompletionSource();
        var runner = new ScriptedRunner(0)
        {
            BeforeStep = async (step, cancellation) =>
            {
                if (step < 2) return;
                arrived.TrySetResult();
                await Task.Delay(Timeout.Infinite, cancellation); // a step that ends only by cancellation
            },
        };
        var engine = Engine(runner);
        using var source = new CancellationTokenSource();
        var reading = Read(engine, new() { MaxTokens = 50 }, cancellation: source.Token);
        await arrived.Task;
        await source.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => reading);
        Assert.Equal(0, runner.Live);
        runner.BeforeStep = (_, _) => Task.CompletedTask;
        Assert.Equal(FinishReason.Length, (await Read(engine, new(), capacity: 4)).Finished.Reason);
    }

    [Fact]
    public async Task Leaving_the_enumeration_frees_the_lease()
    {
        var runner = new ScriptedRunner(0);
        var engine = Engine(runner);
        await foreach (var _ in engine.GenerateAsync(Prompt(1_000_000), new(), new ScriptedText(Words), 0, TestContext.Current.CancellationToken)) break;
        Assert.Equal(0, runner.Live);
        Assert.Equal("red red ", (await Read(engine, new(), capacity: 4)).Text);
    }

    [Fact]
    public async Task A_reader_that_does_not_read_does_not_hold_the_loop()
    {
        var runner = new ScriptedRunner(0, 1, Stop);
        var engine = Engine(runner);
        var slow = engine.GenerateAsync(Prompt(), new(), new ScriptedText(Words), 0, TestContext.Current.CancellationToken).GetAsyncEnumerator(TestContext.Current.CancellationToken);
        Assert.True(await slow.MoveNextAsync());
        Assert.Equal("red circle", (await Read(engine, new())).Text); // one at a time: so the slow one has finished
        var last = slow.Current;
        while (await slow.MoveNextAsync()) last = slow.Current;
        Assert.IsType<GenerationFinished>(last);
        await slow.DisposeAsync();
    }

    [Fact]
    public async Task Over_the_bound_is_overloaded_and_queued_requests_run_in_order()
    {
        var gate = new TaskCompletionSource();
        var runner = new ScriptedRunner(0, Stop) { BeforeStep = (_, _) => gate.Task };
        var engine = Engine(runner, queued: 2);
        var waiting = Enumerable.Range(0, 3).Select(index => Read(engine, new(), first: index)).ToArray();
        var refused = await Assert.ThrowsAsync<StageException>(() => Read(engine, new()));
        Assert.Equal(StageErrorKind.Overloaded, refused.Kind);
        Assert.True(refused.RetryAfter > TimeSpan.Zero);
        gate.SetResult();
        await Task.WhenAll(waiting);
        Assert.Equal([0, 1, 2], runner.Started.Select(ids => ids[0]));
        Assert.Equal(0, runner.Live);
    }

    [Fact]
    public async Task Rank_scores_every_candidate_after_one_prefill_and_frees()
    {
        var runner = new ScriptedRunner(0);
        var scores = await Engine(runner).RankAsync(Prompt(), [[1, 2], [3]], TestContext.Current.CancellationToken);
        Assert.Equal([[-1f, -2f], [-3f]], scores.TokenLogLikelihoods);
        Assert.Equal((1, 3, 0), (runner.Started.Count, runner.Steps, runner.Live));
    }

    [Fact]
    public async Task Rank_refuses_non_finite_scores_and_frees()
    {
        var runner = new ScriptedRunner(0) { Score = _ => [float.NaN] };
        var exception = await Assert.ThrowsAsync<StageException>(() => Engine(runner).RankAsync(Prompt(), [[1]], TestContext.Current.CancellationToken));
        Assert.Equal((StageErrorKind.Internal, 0), (exception.Kind, runner.Live));
    }

    private static GenerationEngine Engine(ScriptedRunner runner, int queued = 8) => new(runner, new AdmissionQueue(queued, TimeProvider.System), [Stop], "digest", TimeProvider.System);

    private static SequencePrompt Prompt(int capacity = 40, int first = 0) => new([first, 1], [-1, -1], [], capacity);

    private static Task<(string Text, List<int> Ids, GenerationFinished Finished, List<string> Pieces)> Read(
        GenerationEngine engine, SamplingParameters sampling, int capacity = 40, int first = 0, CancellationToken? cancellation = null) =>
        Collect(engine.GenerateAsync(Prompt(capacity, first), sampling, new ScriptedText(Words), TimeProvider.System.GetTimestamp(), cancellation ?? TestContext.Current.CancellationToken));

    private static Task<(string Text, List<int> Ids, GenerationFinished Finished, List<string> Pieces)> Generate(ScriptedRunner runner, SamplingParameters sampling, int capacity = 40) =>
        Read(Engine(runner), sampling, capacity);

    private static async Task<(string Text, List<int> Ids, GenerationFinished Finished, List<string> Pieces)> Collect(IAsyncEnumerable<GenerationEvent> events)
    {
        var (pieces, ids, finished) = (new List<string>(), new List<int>(), (GenerationFinished?)null);
        await foreach (var generated in events)
        {
            Assert.Null(finished);
            if (generated is TokensGenerated tokens)
            {
                pieces.Add(tokens.Text);
                ids.AddRange(tokens.Ids);
            }

            finished = generated as GenerationFinished;
        }

        Assert.NotNull(finished);
        return (string.Concat(pieces), ids, finished, pieces);
    }
}
