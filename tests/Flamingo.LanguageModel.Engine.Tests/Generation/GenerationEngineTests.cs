#pragma warning disable xUnit1069 // Timely is the token that the analyzer asks for

using Flamingo.Abstractions;
using Flamingo.LanguageModel.Engine.Generation;
using Flamingo.LanguageModel.Engine.Tests.Scripted;
using Flamingo.Stages;
using Microsoft.Extensions.Time.Testing;

namespace Flamingo.LanguageModel.Engine.Tests.Generation;

/// <summary>
/// Callers on their own threads use the engine's loop. A gate stops the loop before every step, so that the test controls the
/// order.
/// </summary>
public sealed class GenerationEngineTests : IAsyncDisposable
{
    private readonly SteppingGate _gate = new();
    private readonly FakeTimeProvider _time = new();
    private readonly ScriptedRunner _runner = new(64, 4, 8);
    private readonly GenerationEngine _engine;

    public GenerationEngineTests()
    {
        _runner.BeforeStep = _gate.PassAsync;
        _engine = new GenerationEngine(
            _runner, new EngineLimits(MaxQueued: 4, MaxSequences: 4, 64, 64, 4) { WriteStallTimeout = LongestStall },
            [ScriptedModel.Stop], "digest", _time);
    }

    // Longer than any test advances the clock while an answer waits for its reader.
    private static readonly TimeSpan LongestStall = TimeSpan.FromDays(1);

    private static CancellationToken Timely => TestContext.Current.CancellationToken;

    public async ValueTask DisposeAsync()
    {
        _gate.Open();
        await _engine.DisposeAsync();
    }

    [Fact(Timeout = 60_000)]
    public async Task Sixty_requests_at_once_answer_like_single_requests()
    {
        _gate.Open();
        await using var wide = new GenerationEngine(_runner, new EngineLimits(100, 60, 16, 8, 4), [ScriptedModel.Stop], "digest", _time);
        await Task.WhenAll(Enumerable.Range(0, 60).Select(number => Task.Run(
            async () =>
            {
                var (prompt, sampling) = (
                    Prompts.Of("ab1ab" + (char)('a' + (number % 5)) + (char)('0' + (number % 4)) + "a"),
                    new SamplingParameters { Temperature = number % 2, Seed = (ulong)number });
                Assert.Equal(
                    ReferenceAnswers.Sample(prompt, sampling, 0)?.Ids,
                    (await Read(wide.GenerateAsync(prompt, sampling, null, ScriptedText.Letters, Prompts.Terms("tenant " + (number % 3)),
                        Timely))).Ids);
            },
            Timely)));
        await Idle(wide);
    }

    [Fact(Timeout = 60_000)]
    public async Task Cancelling_in_mid_step_frees_everything_before_the_next_step_and_affects_no_other_request()
    {
        using var source = new CancellationTokenSource();
        var cancelled = Read(Ask("ab1a", cancellation: source.Token));
        var (_, through) = await _gate.ArrivalAsync(Timely);
        var other = Read(Ask("b2b"));
        await source.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cancelled);
        through.SetResult();

        var (next, last) = await _gate.ArrivalAsync(Timely);
        Assert.Equal([1, 1, 9], next.Chunks.SelectMany(chunk => chunk.Ids).Order()); // only the other request
        last.SetResult();
        _gate.Open();
        Assert.Equal(ReferenceAnswers.Sample(Prompts.Of("b2b"), SteppedEngine.Endless, 0)!.Ids, (await other).Ids);
        await Idle(_engine);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_request_that_is_cancelled_while_it_waits_leaves_its_place_and_is_never_computed()
    {
        var running = Read(Ask("a", new() { Samples = 4, AllowedTokens = [0] }));
        var (_, through) = await _gate.ArrivalAsync(Timely);
        using var source = new CancellationTokenSource();
        var waiting = Read(Ask("c", cancellation: source.Token));
        Assert.Equal(1, _engine.Statistics.Waiting);
        await source.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        through.SetResult();
        await _gate.StepAsync(Timely); // the loop has read its queue
        Assert.Equal(0, _engine.Statistics.Waiting);
        _gate.Open();
        await running;
        await Idle(_engine);
        Assert.Equal(1 + (4 * 7), _engine.Statistics.ComputedTokens);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_request_cancelled_before_it_is_submitted_is_never_computed()
    {
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Read(Ask("a", cancellation: new CancellationToken(true))));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() =>
            _engine.RankAsync(Prompts.Of("a"), Prompts.Behind(Prompts.Of("a"), [[1]]), Prompts.Terms(), new CancellationToken(true)));
        Assert.Equal(0, _engine.Statistics.Waiting);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_deadline_frees_like_a_cancellation()
    {
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(5), _time);
        var late = Read(Ask("ab1a", cancellation: deadline.Token));
        var ranking = _engine.RankAsync(Prompts.Of("b"), Prompts.Behind(Prompts.Of("b"), [[1, 2]]), Prompts.Terms(), deadline.Token);
        var (_, through) = await _gate.ArrivalAsync(Timely);
        _time.Advance(TimeSpan.FromSeconds(5));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => late);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => ranking);
        through.SetResult();
        _gate.Open();
        await Idle(_engine);
        Assert.InRange(_engine.Statistics.Steps, 1, 2);
    }

    [Fact(Timeout = 60_000)]
    public async Task Leaving_the_enumeration_ends_the_request()
    {
        _gate.Open();
        await foreach (var _ in Ask("ab", answer: 200)) break;
        await Idle(_engine);
        Assert.Equal(ReferenceAnswers.Sample(Prompts.Of("ab"), SteppedEngine.Endless, 0)!.Ids, (await Read(Ask("ab"))).Ids);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_reader_that_does_not_read_does_not_hold_the_loop()
    {
        _gate.Open();
        await using var slow = Ask("ab").GetAsyncEnumerator(Timely);
        Assert.True(await slow.MoveNextAsync());
        await Read(Ask("cc1", answer: 30));
        await Idle(_engine); // the answer of the slow reader is complete, and its memory has been returned
        var last = slow.Current;
        while (await slow.MoveNextAsync()) last = slow.Current;
        Assert.Equal(8, Assert.IsType<AnswerFinished>(last).GeneratedTokens);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_reader_that_is_behind_pauses_its_request_and_makes_room_for_others()
    {
        await using var engine = Large(TimeSpan.FromDays(1));
        await using var slow = Endless(engine).GetAsyncEnumerator(Timely);
        Assert.True(await slow.MoveNextAsync());
        await StandsStillAsync(engine);
        Assert.Equal(1, engine.Statistics.Running);
        Assert.InRange(engine.Statistics.ComputedTokens, 1000, 3000); // 256 KiB of events, and not all 9000 tokens

        // Its place in the batch is free: the engine computes one sequence at a time.
        Assert.Equal(8, (await Read(engine.GenerateAsync(
            Prompts.Of("b"), SteppedEngine.Endless, null, ScriptedText.Letters, Prompts.Terms(), Timely))).Ids.Count);

        // When the reader reads on, it gets every token.
        var ids = new List<int>(((AnswerTokens)slow.Current).Ids);
        while (await slow.MoveNextAsync()) if (slow.Current is AnswerTokens tokens) ids.AddRange(tokens.Ids);
        Assert.Equal(9000, ids.Count);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_reader_that_stops_reading_is_aborted_and_everything_is_returned()
    {
        await using var engine = Large(TimeSpan.FromSeconds(10));
        await using var stalled = Endless(engine).GetAsyncEnumerator(Timely);
        Assert.True(await stalled.MoveNextAsync());
        await StandsStillAsync(engine);
        _time.Advance(TimeSpan.FromSeconds(10));
        await Until(() => engine.Statistics is { Running: 0, LeasedBlocks: 0 });
        var aborted = await Assert.ThrowsAsync<FlamingoException>(() => stalled.MoveNextAsync().AsTask());
        Assert.Equal(FlamingoErrorKind.Aborted, aborted.Kind);
        Assert.Contains("LanguageModel:WriteStallTimeout", aborted.Message, StringComparison.Ordinal);
    }

    [Fact(Timeout = 60_000)]
    public async Task Over_the_bound_is_overloaded_at_once()
    {
        var running = Read(Ask("a", new() { Samples = 4 }));
        var (_, through) = await _gate.ArrivalAsync(Timely);
        var waiting = Enumerable.Range(0, 4).Select(_ => Read(Ask("b"))).ToList();
        var refused = await Assert.ThrowsAsync<FlamingoException>(() => Read(Ask("b")));
        Assert.True(refused.Kind == FlamingoErrorKind.Overloaded && refused.RetryAfter > TimeSpan.Zero, refused.ToString());
        through.SetResult();
        _gate.Open();
        await Task.WhenAll([running, .. waiting]);
        await Idle(_engine);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_request_that_waits_for_a_pin_wakes_up_when_it_ends()
    {
        _gate.Open();
        await Read(
            _engine.GenerateAsync(
                Prompts.Of("abcabcab", 1), SteppedEngine.Endless, null, ScriptedText.Letters, Prompts.Terms(pin: TimeSpan.FromMinutes(1)),
                Timely));
        var whole = Read(Ask("c", answer: 255)); // needs all 64 blocks
        await Until(() => _engine.Statistics is { Running: 0, Waiting: 1, PinnedBlocks: 2 });
        while (!whole.IsCompleted)
        {
            _time.Advance(TimeSpan.FromSeconds(30)); // the loop may not have set its timer yet
            await Task.Yield();
        }

        Assert.Equal(255, (await whole).Ids.Count);
        await Idle(_engine);
    }

    [Fact(Timeout = 60_000)]
    public async Task Disposing_ends_all_streams_with_unavailable_even_in_mid_step()
    {
        var running = Read(Ask("ab1a"));
        await _gate.ArrivalAsync(Timely); // the step never continues
        var waiting = Read(Ask("b", new() { Samples = 4 }));
        var ranking = _engine.RankAsync(Prompts.Of("b"), Prompts.Behind(Prompts.Of("b"), [[1, 2]]), Prompts.Terms(), Timely);
        await _engine.DisposeAsync();
        foreach (var stream in new Task[] { running, waiting, ranking })
            Assert.Equal(FlamingoErrorKind.Unavailable, (await Assert.ThrowsAsync<FlamingoException>(() => stream)).Kind);
        Assert.Equal(FlamingoErrorKind.Unavailable, (await Assert.ThrowsAsync<FlamingoException>(() => Read(Ask("a")))).Kind);
        Assert.True(_engine.Statistics is { Running: 0, Waiting: 0, LeasedBlocks: 0, LeasedPictures: 0 });
    }

    [Fact(Timeout = 60_000)]
    public async Task A_step_is_seen_while_it_runs_and_an_idle_engine_is_seen_as_idle()
    {
        var answer = Read(Ask("ab1a", new() { MaxTokens = 1 }));
        var (_, through) = await _gate.ArrivalAsync(Timely); // a step that hangs
        var unit = _engine.Worker.Running;
        Assert.NotNull(unit);
        through.SetResult();
        _gate.Open();
        await answer;
        await Idle(_engine);
        while (_engine.Worker.Running is not null) await Task.Yield();
        Assert.Null(_engine.Worker.Failure);
    }

    [Fact(Timeout = 60_000)]
    public async Task An_error_outside_of_a_step_ends_all_requests_and_is_reported_as_the_end_of_the_worker()
    {
        var clock = new BreakableClock();
        var engine = new GenerationEngine(_runner, new EngineLimits(4, 4, 64, 64, 4), [ScriptedModel.Stop], "digest", clock);
        clock.Break(); // it fails once, when the engine admits the request and begins a step
        var running = Read(engine.GenerateAsync(Prompts.Of("ab1a"), new(), null, ScriptedText.Letters, Prompts.Terms(), Timely));
        Assert.Equal(FlamingoErrorKind.Unavailable, (await Assert.ThrowsAsync<FlamingoException>(() => running)).Kind);
        while (engine.Worker.Failure is null) await Task.Yield();
        Assert.Equal("The clock is broken.", engine.Worker.Failure.Message);
        var later = engine.RankAsync(Prompts.Of("b"), Prompts.Behind(Prompts.Of("b"), [[1, 2]]), Prompts.Terms(), Timely);
        Assert.Equal(FlamingoErrorKind.Unavailable, (await Assert.ThrowsAsync<FlamingoException>(() => later)).Kind);
        await engine.DisposeAsync(); // does not throw the error again
    }

    private sealed class BreakableClock : TimeProvider
    {
        private int _broken;

        public void Break() => _broken = 1;

        public override long GetTimestamp() =>
            Interlocked.Exchange(ref _broken, 0) == 1 ? throw new InvalidOperationException("The clock is broken.") : 0;
    }

    [Fact(Timeout = 120_000)]
    public async Task Callers_that_come_and_go_on_many_threads_leave_nothing_behind()
    {
        _gate.Open();
        await Task.WhenAll(Enumerable.Range(0, 8).Select(caller => Task.Run(
            async () =>
            {
                var random = new Random(caller);
                for (var round = 0; round < 60; round++)
                {
                    using var source = new CancellationTokenSource();
                    var prompt = Prompts.Of(new string('a', random.Next(1, 9)) + random.Next(3) + "b", random.Next(1, 20));
                    try
                    {
                        var (seen, most) = (0, random.Next(1, 30));
                        await foreach (
                            var generated in _engine.GenerateAsync(
                                prompt, SteppedEngine.Endless, null, ScriptedText.Letters, Prompts.Terms(), source.Token))
                            if (++seen == most) await source.CancelAsync();
                    }
                    catch (OperationCanceledException)
                    {
                    }
                    catch (FlamingoException overloaded) when (overloaded.Kind == FlamingoErrorKind.Overloaded)
                    {
                    }
                }
            },
            Timely)));
        await Idle(_engine);
        Assert.True(_runner.Violation is null, _runner.Violation?.ToString());
        Assert.True(_engine.Statistics.Steps > 100);
    }

    // One sequence at a time, and room for an answer that is larger than the buffer.
    private GenerationEngine Large(TimeSpan stall) => new(
        new ScriptedRunner(400, 32, 1), new EngineLimits(4, MaxSequences: 1, 64, 64, 4) { WriteStallTimeout = stall }, [ScriptedModel.Stop],
        "digest", _time);

    private static IAsyncEnumerable<AnswerEvent> Endless(GenerationEngine engine) =>
        engine.GenerateAsync(Prompts.Of("a", 9000), SteppedEngine.Endless, null, ScriptedText.Letters, Prompts.Terms(), Timely);

    // Waits until the loop has nothing to compute: the number of steps stays the same although the loop is woken.
    private static async Task StandsStillAsync(GenerationEngine engine)
    {
        for (long before = -1; before != engine.Statistics.Steps || before < 1000; await Task.Delay(20, Timely))
            before = engine.Statistics.Steps;
    }

    private IAsyncEnumerable<AnswerEvent> Ask(string text, SamplingParameters? sampling = null, int answer = 8,
        CancellationToken? cancellation = null) =>
        _engine.GenerateAsync(Prompts.Of(text, answer), sampling ?? SteppedEngine.Endless, null, ScriptedText.Letters, Prompts.Terms(),
            cancellation ?? Timely);

    private static async Task<(List<int> Ids, AnswerFinished Finished)> Read(IAsyncEnumerable<AnswerEvent> events)
    {
        var (ids, finished) = (new List<int>(), (AnswerFinished?)null);
        await foreach (var generated in events)
        {
            Assert.Null(finished);
            if (generated is AnswerTokens tokens) ids.AddRange(tokens.Ids);
            finished = generated as AnswerFinished;
        }

        Assert.Equal("digest", finished!.Digests.Language);
        return (ids, finished);
    }

    private static Task Idle(GenerationEngine engine) =>
        Until(
            () =>
                engine.Statistics is { Steps: > 0, Running: 0, Waiting: 0, LeasedBlocks: 0, LeasedPictures: 0 } now
                    && now.FreeBlocks + now.CachedBlocks == 64);

    // the loop updates its counts after it has written the last event
    private static async Task Until(Func<bool> condition)
    {
        while (!condition())
        {
            Timely.ThrowIfCancellationRequested();
            await Task.Yield();
        }
    }
}
