using Flamingo.Abstractions;
using Flamingo.LanguageModel.Engine.Generation;
using Flamingo.LanguageModel.Engine.Tests.Scripted;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.Tests.Generation;

/// <summary>Tests of admission, memory and failure, step by step.</summary>
public sealed class StepEngineTests
{
    private static readonly TimeSpan Minute = TimeSpan.FromMinutes(1);

    [Fact]
    public async Task The_next_turn_of_a_conversation_reuses_prompt_and_answer()
    {
        var engine = new SteppedEngine();
        var first = await Ended(engine, engine.Ask("ab1abc", answer: 11));
        var next = await Ended(engine, engine.Ask("ab1abc" + first.Answers[0].Text + "cc"));
        Assert.Equal(16, next.Request.CachedTokens); // 17 tokens, of which the last was never computed
        Assert.Equal(1, engine.Now.Projections);
    }

    [Fact]
    public async Task Only_the_new_end_is_computed_when_the_last_picture_changes_and_nothing_is_shared_before_it_differs()
    {
        var engine = new SteppedEngine();
        await Ended(engine, engine.Ask("1aab2bba3c", answer: 1));
        Assert.Equal(8, (await Ended(engine, engine.Ask("1aab2bba4c", answer: 1))).Request.CachedTokens);
        Assert.Equal(4, (await Ended(engine, engine.Ask("1aab3bba3c", answer: 1))).Request.CachedTokens);
        Assert.Equal(0, (await Ended(engine, engine.Ask("2aab2bba3c", answer: 1))).Request.CachedTokens);
        Assert.Equal(0, (await Ended(engine, engine.Ask("1aab2bba3c", answer: 1, tenant: "another"))).Request.CachedTokens);
        Assert.Equal(4, engine.Now.Projections); // pictures are shared by all
    }

    [Fact]
    public async Task Equal_answers_side_by_side_share_their_blocks()
    {
        var engine = new SteppedEngine();
        var equal = Enumerable.Range(0, 4).Select(_ => engine.Ask("abcaabca", answer: 9)).ToList();
        for (var step = 0; step < 7; step++) await engine.StepAsync();
        // both share the blocks of 12 tokens, and each has one block of its own for the next tokens
        Assert.Equal(3 + 4, engine.Now.LeasedBlocks);
        await engine.RunAsync();
        Assert.All(equal, request => request.AssertAnswersLikeReference());
        Assert.Equal(4, engine.Now.CachedBlocks); // the blocks of 16 of 17 tokens, held once
        Assert.Equal(0, engine.Now.LeasedBlocks);
    }

    [Fact]
    public async Task A_picture_that_a_broken_step_should_have_projected_is_projected_again()
    {
        var engine = new SteppedEngine();
        engine.Runner.ChunksUntilFailure = 0;
        var broken = new[] { engine.Ask("1a"), engine.Ask("2a1") };
        var waiting = engine.Ask("c", sampling: SteppedEngine.Endless with { Samples = 15 });
        await engine.Engine.StepAsync(default);
        Assert.All(broken, request => Assert.IsType<BreakdownException>(request.Failure));
        Assert.Equal((0, 0, 0), (engine.Now.LeasedBlocks, engine.Now.LeasedPictures, engine.Now.IdlePictures));
        await engine.RunAsync();
        waiting.AssertAnswersLikeReference(); // it had not been admitted
        Assert.Equal(["picture 1"], Assert.Throws<FlamingoException>(() => engine.Ask("1a", latents: false)).Missing);
        await Ended(engine, engine.Ask("1a"));
        await Ended(engine, engine.Ask("11a1", latents: false)); // the picture is held now
    }

    [Fact]
    public async Task Missing_latents_are_listed_at_once_or_when_they_have_gone_while_the_request_waited()
    {
        var engine = new SteppedEngine(slots: 2, limits: new EngineLimits(16, 1, 64, 64, 4));
        Assert.Equal(
            ["picture 1", "picture 2"], Assert.Throws<FlamingoException>(() => engine.Ask("a1b2b1", latents: false)).Missing.Order());
        await Ended(engine, engine.Ask("1a2"));
        engine.Ask("3c");
        var late = engine.Ask("1b2", latents: false);
        await engine.RunAsync();
        var missing = Assert.IsType<FlamingoException>(late.Failure);
        Assert.Equal(FlamingoErrorKind.LatentsMissing, missing.Kind);
        Assert.Single(missing.Missing);
    }

    [Fact]
    public void What_never_fits_is_invalid_at_once_and_names_the_field()
    {
        var engine = new SteppedEngine(blocks: 4, slots: 2, limits: new EngineLimits(16, 3, 64, 64, 4));
        Refused("segments", () => engine.Ask("abc", answer: 14));
        Refused("segments", () => engine.Ask("1a2b3"));
        Refused("sampling", () => engine.Ask("a", answer: 1, sampling: SteppedEngine.Endless with { Samples = 4 }));
        Refused("segments", () => engine.Ask("a", answer: 7, sampling: SteppedEngine.Endless with { Samples = 3 }));
        Refused("pin_prefix", () => engine.Ask("abcabcabcabc", answer: 1, pin: Minute));
        Assert.Equal((0, 0), (engine.Now.Waiting, engine.Now.Running));
        // all faults are reported together
        Assert.Equal(2, Assert.Throws<FlamingoException>(() => engine.Ask("1a2b3", answer: 99)).Faults.Count);

        static void Refused(string field, Action ask)
        {
            var refusal = Assert.Throws<FlamingoException>(ask);
            Assert.Equal((FlamingoErrorKind.InvalidArgument, field), (refusal.Kind, Assert.Single(refusal.Faults).Field));
        }
    }

    [Fact]
    public async Task Overload_returns_the_time_until_a_place_should_be_free()
    {
        var engine = new SteppedEngine(limits: new EngineLimits(MaxQueued: 1, MaxSequences: 1, 64, 64, 4));
        engine.Runner.BeforeStep = (_, _) =>
        {
            engine.Time.Advance(TimeSpan.FromSeconds(1));
            return Task.CompletedTask;
        };
        engine.Ask("a", answer: 40);
        for (var step = 0; step < 20; step++) await engine.Engine.StepAsync(default);
        engine.Ask("b");
        Assert.InRange(RetryAfter(), 15, 21); // the running request has 20 tokens left, of about a second each
        for (var step = 0; step < 17; step++) await engine.Engine.StepAsync(default);
        Assert.InRange(RetryAfter(), 2, 4);

        double RetryAfter()
        {
            var refused = Assert.Throws<FlamingoException>(() => engine.Ask("c"));
            Assert.Equal(FlamingoErrorKind.Overloaded, refused.Kind);
            return refused.RetryAfter!.Value.TotalSeconds;
        }
    }

    [Fact]
    public async Task A_pinned_prefix_is_not_evicted_by_requests_that_find_room_elsewhere_and_yields_to_one_that_does_not()
    {
        var engine = new SteppedEngine(blocks: 12);
        await Ended(engine, engine.Ask("ab1aabcaab2a", answer: 1, pin: Minute));
        Assert.Equal((3, 3), (engine.Now.PinnedBlocks, engine.Now.LeasedBlocks));
        await Ended(engine, engine.Ask("bbbbbbbbbbbb", answer: 24)); // uses all other blocks
        Assert.Equal(8, (await Ended(engine, engine.Ask("ab1aabcaab2a", answer: 2))).Request.CachedTokens);
        Assert.Equal(
            FlamingoErrorKind.Overloaded,
            Assert.IsType<FlamingoException>((await Failed(engine, engine.Ask("ccccccccc", answer: 1, pin: Minute))).Failure).Kind);

        var whole = engine.Ask("c", answer: 47, tenant: "another"); // needs all twelve blocks
        await engine.StepAsync();
        Assert.Equal((1, 0), (engine.Now.Running, engine.Now.PinnedBlocks));
        await Ended(engine, whole);
    }

    [Fact]
    public async Task A_request_that_needs_everything_and_pins_is_admitted_although_its_beginning_is_pinned()
    {
        var engine = new SteppedEngine(blocks: 8);
        await Ended(engine, engine.Ask("abcaabca", answer: 1, pin: Minute));
        await Ended(engine, engine.Ask("abcaabca", answer: 24, pin: Minute)); // all eight blocks
        Assert.Equal(2, engine.Now.PinnedBlocks);
    }

    [Fact]
    public async Task Requests_that_pin_at_the_same_time_do_not_pin_more_than_a_quarter_for_a_tenant()
    {
        var engine = new SteppedEngine(blocks: 32, slots: 4);
        var requests = new[] { "aaaaaaaaaaaaa", "bbbbbbbbbbbbb", "ccccccccccccc" }.Select(text => engine.Ask(text, answer: 2, pin: Minute))
            .ToList();
        var other = engine.Ask("ddddddddddddd", answer: 2, pin: Minute, tenant: "another");
        await engine.RunAsync();
        Assert.Equal([true, true, false], requests.Select(request => request.Failure is null));
        Assert.Null(other.Failure);
        Assert.Equal(9, engine.Now.PinnedBlocks);
    }

    [Fact]
    public async Task A_request_that_does_not_fit_is_passed_by_at_most_64_that_do()
    {
        var engine = new SteppedEngine(blocks: 32, limits: new EngineLimits(MaxQueued: 400, MaxSequences: 64, 64, 64, 4));
        engine.Ask("a", answer: 100, tenant: "long"); // 26 blocks for 100 steps
        await engine.StepAsync();
        var large = engine.Ask("b", answer: 40, tenant: "large"); // 11 blocks, and 6 are free
        var small = Enumerable.Range(0, 200).Select(number => engine.Ask("c", answer: 2, tenant: $"small {number}")).ToList();
        engine.Runner.BeforeStep = (_, _) =>
        {
            engine.Time.Advance(TimeSpan.FromSeconds(1));
            return Task.CompletedTask;
        };
        await engine.RunAsync();
        Assert.Equal(64, small.Count(request => request.Request.Started < large.Request.Started));
        Assert.All(small, request => request.AssertAnswersLikeReference());
        large.AssertAnswersLikeReference();
    }

    [Fact]
    public async Task A_tenant_that_holds_all_places_and_asks_for_more_makes_no_newcomer_wait()
    {
        var engine = new SteppedEngine(blocks: 400, limits: new EngineLimits(MaxQueued: 64, MaxSequences: 8, 64, 64, 4));
        var greedy = Enumerable.Range(0, 20).Select(_ => engine.Ask("abc", answer: 40, tenant: "greedy")).ToList();
        await engine.StepAsync();
        Assert.Equal((8, 12), (engine.Now.Running, engine.Now.Waiting));
        for (var newcomer = 0; newcomer < 200; newcomer++)
        {
            var request = engine.Ask("cab", answer: 2, tenant: $"newcomer {newcomer}");
            await engine.StepAsync();
            Assert.NotEmpty(request.Tokens);
            await engine.StepAsync();
            Assert.True(request.HasEnded);
        }

        await engine.RunAsync();
        Assert.All(greedy, request => request.AssertAnswersLikeReference());
    }

    [Fact]
    public async Task A_tenant_that_runs_requests_leaves_an_eighth_of_the_blocks_and_slots_to_others()
    {
        var engine = new SteppedEngine(blocks: 16, slots: 8, limits: new EngineLimits(64, 64, 64, 64, 4));
        foreach (var _ in Enumerable.Range(0, 20)) engine.Ask("a", answer: 7, tenant: "greedy"); // two blocks each
        await engine.StepAsync();
        Assert.Equal(7, engine.Now.Running);
        var other = engine.Ask("b", answer: 7, tenant: "other");
        await engine.StepAsync();
        Assert.NotEmpty(other.Tokens);
        await engine.RunAsync();

        foreach (var text in new[] { "01a", "23a", "45a", "67a" }) engine.Ask(text, answer: 1, tenant: "greedy");
        await engine.StepAsync();
        Assert.Equal(1, engine.Now.Waiting); // its fourth request would leave no slot
        await engine.RunAsync();
    }

    [Fact]
    public async Task A_tenant_whose_requests_fill_the_queue_loses_the_newest_to_a_newcomer()
    {
        var engine = new SteppedEngine(limits: new EngineLimits(MaxQueued: 3, MaxSequences: 4, 64, 64, 4));
        var greedy = Enumerable.Range(0, 3).Select(_ => engine.Ask("abc", tenant: "greedy")).ToList();
        var newcomer = engine.Ask("cab", tenant: "newcomer");
        var refusal = Assert.IsType<FlamingoException>(greedy[2].Failure);
        Assert.Equal(FlamingoErrorKind.Overloaded, refusal.Kind);
        Assert.True(refusal.RetryAfter > TimeSpan.Zero);
        await engine.RunAsync();
        Assert.All([greedy[0], greedy[1], newcomer], request => request.AssertAnswersLikeReference());
    }

    [Fact]
    public async Task A_prefix_whose_last_block_another_request_computed_is_pinned_whole()
    {
        var engine = new SteppedEngine(blocks: 8);
        await Ended(engine, engine.Ask("abcaabca", answer: 1));
        var pinning = engine.Ask("abcaabca", answer: 12, pin: Minute); // computes its second block again
        await engine.StepAsync();
        var pressure = engine.Ask("c", answer: 11); // needs every block that is free or only cached
        await engine.RunAsync();
        pinning.AssertAnswersLikeReference();
        pressure.AssertAnswersLikeReference();
        Assert.Equal((2, 2), (engine.Now.PinnedBlocks, engine.Now.LeasedBlocks));
    }

    [Fact]
    public async Task Stopping_ends_all_with_unavailable_and_refuses_the_rest()
    {
        var engine = new SteppedEngine(limits: new EngineLimits(16, 1, 64, 64, 4));
        TrackedRequest[] requests = [engine.Ask("ab"), engine.Rank("b", "ab"), engine.Ask("c")];
        await engine.StepAsync();
        engine.Engine.Stop();
        Assert.All(
            requests, request => Assert.Equal(FlamingoErrorKind.Unavailable, Assert.IsType<FlamingoException>(request.Failure).Kind));
        Assert.Equal(FlamingoErrorKind.Unavailable, Assert.Throws<FlamingoException>(() => engine.Ask("ab")).Kind);
        Assert.Equal((0, 0, 0), (engine.Now.Running, engine.Now.Waiting, engine.Now.LeasedBlocks));
    }

    private static async Task<TrackedRequest> Ended(SteppedEngine engine, TrackedRequest request)
    {
        await engine.RunAsync();
        request.AssertAnswersLikeReference();
        return request;
    }

    private static async Task<TrackedRequest> Failed(SteppedEngine engine, TrackedRequest request)
    {
        await engine.RunAsync();
        Assert.NotNull(request.Failure);
        return request;
    }
}
