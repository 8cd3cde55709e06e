using Flamingo.LanguageModel.Engine.Generation;
using Flamingo.LanguageModel.Engine.Tests.Scripted;

namespace Flamingo.LanguageModel.Engine.Tests.Scheduling;

public sealed class SchedulerTests
{
    [Fact]
    public async Task Decoding_comes_first_and_prompts_share_what_the_chunk_leaves_them()
    {
        var engine = new SteppedEngine(limits: new EngineLimits(16, 16, PrefillChunk: 8, PrefillChunkBesideDecoding: 4, 4));
        engine.Ask("abca");
        Assert.Equal([(0, 4, 1)], Shape(await engine.StepAsync()));
        engine.Ask("bbbbbbbbbb");
        engine.Ask("c");
        // the chunk holds one block, which goes to the request that came first; in the next step it is the other's turn
        Assert.Equal([(4, 1, 1), (0, 4, 0)], Shape(await engine.StepAsync()));
        Assert.Equal([(5, 1, 1), (0, 1, 1)], Shape(await engine.StepAsync()));
        Assert.Equal([(6, 1, 1), (1, 1, 1), (4, 4, 0)], Shape(await engine.StepAsync()));
        Assert.Equal([(7, 1, 1), (2, 1, 1), (8, 2, 1)], Shape(await engine.StepAsync()));
    }

    [Fact]
    public async Task The_chunk_is_shared_by_tenants_and_then_by_their_requests()
    {
        var engine = new SteppedEngine(limits: new EngineLimits(16, 16, PrefillChunk: 24, PrefillChunkBesideDecoding: 24, 4));
        foreach (var text in new[] { "aaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbb", "ccccccccccccccccc" }) engine.Ask(text, tenant: "many");
        engine.Ask("ddddddddddddddddd", tenant: "one");
        // Six blocks: three for each tenant, and one for each request of the first.
        Assert.Equal([(0, 4, 0), (0, 12, 0), (0, 4, 0), (0, 4, 0)], Shape(await engine.StepAsync()));
        await engine.RunAsync();
    }

    [Fact]
    public async Task With_more_tenants_than_blocks_all_come_round_and_newcomers_do_not_go_before_them()
    {
        var engine = new SteppedEngine(blocks: 200, limits: new EngineLimits(64, 64, PrefillChunk: 8, PrefillChunkBesideDecoding: 8, 4));
        var old = Enumerable.Range(0, 6).Select(number => engine.Ask(new string((char)('a' + number), 13), tenant: $"old {number}"))
            .ToList();
        for (var step = 0; step < 3; step++)
        {
            engine.Ask("ab", tenant: $"new {step}"); // two blocks a step, and a newcomer in each
            await engine.StepAsync();
        }

        Assert.All(old, request => Assert.Equal(4, request.Request.Root!.Computed));
        await engine.RunAsync();
        Assert.All(old, request => request.AssertAnswersLikeReference());
    }

    [Fact]
    public async Task A_neighbour_of_a_huge_ranking_waits_two_steps_for_its_first_token()
    {
        // the sizes of the stage: blocks of 8 tokens, 64 candidates at once, the default chunks; and a pool of 2 GiB of a small model
        var engine = new SteppedEngine(16_384, 8, 8, new EngineLimits(64, 64, PrefillChunk: 512, PrefillChunkBesideDecoding: 64, 64));
        var candidates = Enumerable.Range(0, 1000).Select(number => new string((char)('a' + (number % 8)), 369) + "a").ToArray();
        var ranking = engine.Rank("abc", candidates);
        for (var step = 0; step < 5; step++) await engine.StepAsync();
        for (var neighbour = 0; neighbour < 20; neighbour++)
        {
            var request = engine.Ask("abcd", answer: 2, tenant: $"neighbour {neighbour}");
            var steps = 0;
            for (; request.Tokens.Count == 0; steps++) await engine.StepAsync();
            Assert.InRange(steps, 1, 2);
        }

        Assert.False(ranking.HasEnded);
        ranking.Request.Cancel();
        await engine.RunAsync();
        Assert.Equal(0, engine.Now.LeasedBlocks);
    }

    [Fact]
    public async Task While_no_answer_is_decoded_chunks_are_larger_and_end_at_a_block_boundary()
    {
        var engine = new SteppedEngine(limits: new EngineLimits(16, 16, PrefillChunk: 7, PrefillChunkBesideDecoding: 1, 4));
        var request = engine.Ask("abcabcabca");
        Assert.Equal([(0, 4, 0)], Shape(await engine.StepAsync())); // 7 tokens would end in the middle of a block
        Assert.Equal([(4, 6, 1)], Shape(await engine.StepAsync()));
        await engine.RunAsync();
        request.AssertAnswersLikeReference();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public async Task A_chunk_smaller_than_a_block_completes_the_prompt_too(int chunk)
    {
        var engine = new SteppedEngine(limits: new EngineLimits(16, 16, chunk, chunk, 4));
        var requests = new[] { engine.Ask("ab1cabcab"), engine.Ask("ab1cabcab"), engine.Ask("c2") };
        await engine.RunAsync();
        Assert.All(requests, request => request.AssertAnswersLikeReference());
        Assert.Equal(8, requests.Sum(request => request.Request.CachedTokens)); // the two blocks of both are computed once
    }

    [Fact]
    public async Task A_prefix_that_two_ask_for_at_once_is_computed_once()
    {
        var engine = new SteppedEngine();
        var requests = new[] { engine.Ask("ab1abcabx"), engine.Ask("ab1abcaby"), engine.Ask("ab1abcabz") };
        Assert.Equal([(0, 9, 1)], Shape(await engine.StepAsync()));
        Assert.Equal([(9, 1, 1), (8, 1, 1), (8, 1, 1)], Shape(await engine.StepAsync()));
        await engine.RunAsync();
        Assert.All(requests, request => request.AssertAnswersLikeReference());
        Assert.Equal([0, 8, 8], requests.Select(request => request.Request.CachedTokens));
        Assert.Equal(9 + 1 + 1 + (3 * 7), engine.Now.ComputedTokens); // the last token of an answer is not computed
        Assert.Equal((1, 16), (engine.Now.Projections, engine.Now.CachedTokens));
    }

    [Fact]
    public async Task Blocks_that_another_request_computes_meanwhile_are_shared()
    {
        var engine = new SteppedEngine(limits: new EngineLimits(16, 16, 4, 4, 4));
        var first = engine.Ask("abcaabcabcab");
        await engine.StepAsync();
        var second = engine.Ask("abcaabcabcabcc"); // admitted when one block is computed and two more will be
        await engine.RunAsync();
        first.AssertAnswersLikeReference();
        second.AssertAnswersLikeReference();
        // They take turns: the second adopts two blocks and computes the third. Both compute the block of the first one's last token.
        Assert.Equal((0, 8), (first.Request.CachedTokens, second.Request.CachedTokens));
        Assert.Equal(12 + 4 + 2 + (2 * 7), engine.Now.ComputedTokens);
    }

    [Fact]
    public async Task When_the_request_that_computes_a_prefix_is_cancelled_the_next_continues()
    {
        var engine = new SteppedEngine(limits: new EngineLimits(16, 16, 4, 4, 4));
        var first = engine.Ask("abcabcabcabc");
        var second = engine.Ask("abcabcabcabc");
        await engine.StepAsync();
        first.Request.Cancel();
        await engine.RunAsync();
        second.AssertAnswersLikeReference();
        Assert.Equal(4, second.Request.CachedTokens);
    }

    [Fact]
    public async Task The_last_token_of_a_prompt_is_computed_anew_because_its_logits_are_wanted()
    {
        var engine = new SteppedEngine();
        await Ended("abcaabca");
        var again = await Ended("abcaabca"); // two full blocks, and the second contains the last token
        Assert.Equal(4, again.Request.CachedTokens);
        Assert.Equal(4, (await Ended("abcaa")).Request.CachedTokens);
        Assert.Equal(8, (await Ended("abcaabcab")).Request.CachedTokens);
        Assert.Equal(0, (await Ended("abca")).Request.CachedTokens);

        async Task<TrackedRequest> Ended(string text)
        {
            var request = engine.Ask(text);
            await engine.RunAsync();
            request.AssertAnswersLikeReference();
            return request;
        }
    }

    [Fact]
    public async Task A_plan_changes_nothing_and_the_step_computes_what_was_planned()
    {
        var engine = new SteppedEngine(limits: new EngineLimits(16, 16, 4, 4, 4));
        var first = engine.Ask("abcaabcabcab");
        await engine.StepAsync();
        var second = engine.Ask("abcaabcabcabcc");
        await engine.StepAsync(); // both are admitted; after this no request arrives or ends between the plan and the step
        var adopted = 0;
        for (var steps = 0; !first.HasEnded && !second.HasEnded; steps++)
        {
            var (blocks, computed) = (Blocks(), Computed());
            var (plan, again) = (engine.Engine.Plan(), engine.Engine.Plan());
            Assert.Equal(plan.Chunks, again.Chunks);
            Assert.Equal(plan.Adoptions.SelectMany(adoption => adoption.Blocks), again.Adoptions.SelectMany(adoption => adoption.Blocks));
            Assert.Equal((blocks, computed), (Blocks(), Computed()));
            adopted += plan.Adoptions.Sum(adoption => adoption.Blocks.Count);
            var batch = await engine.StepAsync();
            Assert.Equal(plan.Chunks.Select(chunk => chunk.Tokens), batch.Chunks.Select(chunk => chunk.Ids.Count));
        }

        Assert.True(adopted > 0, "No block was adopted.");
        await engine.RunAsync();
        first.AssertAnswersLikeReference();
        second.AssertAnswersLikeReference();

        string Blocks() => string.Join(' ', engine.Engine.Running.SelectMany(request => request.Root!.Blocks));
        int Computed() => engine.Engine.Running.Sum(request => request.Root!.Computed);
    }

    /// <summary>For each chunk: start, number of tokens, rows of logits.</summary>
    private static IEnumerable<(int Start, int Tokens, int LogitRows)> Shape(ScheduledBatch batch) =>
        batch.Chunks.Select(chunk => (chunk.Start, chunk.Ids.Count, chunk.LogitRows));
}
