using Flamingo.Abstractions;
using Flamingo.LanguageModel.Engine.Generation;
using Flamingo.LanguageModel.Engine.Sampling;
using Flamingo.LanguageModel.Engine.Tests.Scripted;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.Tests.Generation;

/// <summary>What samples, beams and rankings share, and the events that they send.</summary>
public sealed class AnswersTests
{
    private readonly SteppedEngine _engine = new();

    [Fact]
    public async Task Samples_of_one_prompt_compute_it_once_and_each_equals_a_request_with_its_seed()
    {
        var sampling = SteppedEngine.Endless with { Temperature = 1, Seed = 5, Samples = 4 };
        var four = _engine.Ask("ab1ab", sampling: sampling);
        await _engine.RunAsync();
        four.AssertAnswersLikeReference();
        Assert.Equal(5 + (4 * 7), _engine.Now.ComputedTokens);
        Assert.Equal(3, _engine.Runner.Copies); // the last block of the prompt, which the answers share, is copied for each
        Assert.Equal(4, four.Answers.Select(answer => answer.Text).Distinct().Count());
        Assert.Equal((32, 5), (four.Finished!.GeneratedTokens, four.Finished.PromptTokens));

        var alone = _engine.Ask("ab1ab", sampling: sampling with { Samples = 1, Seed = 7 });
        await _engine.RunAsync();
        Assert.Equal(four.Answers[2].Ids, alone.Answers[0].Ids);
    }

    [Fact]
    public async Task Beams_share_their_blocks_and_send_no_event_before_the_end()
    {
        var beams = _engine.Ask("ab1ab", answer: 6, sampling: new() { Beams = 3, Samples = 2, LengthPenalty = 0 });
        await _engine.StepAsync();
        Assert.Equal(3, (await _engine.StepAsync()).Chunks.Count);
        Assert.False(beams.HasEnded);
        Assert.Empty(beams.Tokens);
        await _engine.RunAsync();
        beams.AssertAnswersLikeReference();
        Assert.Equal(2, beams.Finished!.Samples.Count);
        Assert.True(beams.Finished.Samples[0].Score >= beams.Finished.Samples[1].Score);
    }

    [Fact]
    public async Task A_thousand_candidates_cost_one_prefix_and_are_scored_a_few_at_a_time()
    {
        var candidates = Enumerable.Range(0, 1000)
            .Select(number => string.Concat(Convert.ToString(number, 8).Select(digit => (char)('a' + digit - '0')))).ToArray();
        var ranking = _engine.Rank("ab1ab", candidates);
        await _engine.RunAsync();
        ranking.AssertAnswersLikeReference();
        Assert.Equal(5 + candidates.Sum(candidate => candidate.Length - 1), _engine.Now.ComputedTokens);
        Assert.All(_engine.Batches, batch => Assert.InRange(batch.Chunks.Count, 1, _engine.Limits.MaxCandidatesAtOnce));
    }

    [Fact]
    public async Task Candidates_of_one_token_are_scored_by_the_prompt_alone()
    {
        var ranking = _engine.Rank("ab1ab", "a", "b", "c");
        await _engine.RunAsync();
        ranking.AssertAnswersLikeReference();
        Assert.Single(_engine.Batches);
    }

    [Fact]
    public async Task A_ranking_takes_more_steps_where_memory_is_small()
    {
        var engine = new SteppedEngine(blocks: 4);
        var ranking = engine.Rank("ab1ab", "abcabc", "bcabca", "ccc", "a");
        await engine.RunAsync();
        ranking.AssertAnswersLikeReference();
    }

    [Fact]
    public async Task A_request_whose_logits_are_not_finite_fails_alone()
    {
        TrackedRequest[] bad = [
            _engine.Ask("abk"), _engine
                .Ask("abk", sampling: new() { Beams = 2 }), _engine
                .Ask("ak", sampling: SteppedEngine.Endless with { Temperature = 1, Samples = 3 }), _engine
                .Rank("abk", "a", "bb"), _engine
                .Rank("ab", "akc", "bb")
        ];
        var good = _engine.Ask("abc");
        await _engine.RunAsync();
        Assert.All(bad, request => Assert.Equal(FlamingoErrorKind.Internal, Assert.IsType<FlamingoException>(request.Failure).Kind));
        good.AssertAnswersLikeReference();
        Assert.Equal(0, _engine.Now.LeasedBlocks);
    }

    [Fact]
    public async Task A_request_whose_answer_cannot_be_sent_fails_alone()
    {
        // The stage refuses such a request; here it reaches the engine, which must continue.
        var bad = _engine.Ask("abc", sampling: new() { LogitBias = new Dictionary<int, float> { [99] = 1 } });
        var good = _engine.Ask("abc");
        await _engine.RunAsync();
        Assert.NotNull(bad.Failure);
        good.AssertAnswersLikeReference();
    }

    [Fact]
    public async Task Log_probabilities_are_those_of_the_model_before_sampling_changes_them()
    {
        var request = _engine.Ask("ab1ab", sampling: new() { AllowedTokens = [0, 1], Temperature = 2, Seed = 3, LogProbabilities = 3 });
        await _engine.RunAsync();
        var ids = request.Prompt.Ids.ToList();
        foreach (var tokens in request.Tokens)
        {
            var expected = LogProbabilities.LogSoftmax(ReferenceAnswers.Logits(request.Prompt, ids));
            var actual = Assert.Single(tokens.LogProbabilities);
            Assert.Equal((tokens.Ids[0], expected[tokens.Ids[0]]), (actual.Id, actual.LogProbability));
            Assert.Equal(expected.OrderDescending().Take(3), actual.Top.Select(top => top.LogProbability));
            ids.Add(tokens.Ids[0]);
        }
    }

    [Fact]
    public async Task Attention_is_returned_for_every_token_that_sees_a_picture_and_costs_nothing_when_off()
    {
        var seeing = _engine.Ask("1ab2", answer: 3, attention: new AttentionChoice([], []));
        var blind = _engine.Ask("ab", answer: 2, attention: new AttentionChoice([], []));
        var off = _engine.Ask("1ab2", answer: 2);
        await _engine.RunAsync();
        Assert.Equal([1, 1, 1], seeing.Tokens.Select(tokens => Assert.Single(tokens.Attention)!.Picture));
        Assert.All(seeing.Tokens, tokens => Assert.Equal(1, tokens.Attention[0]!.Weights.ToFloats().Sum(), 1e-6f));
        Assert.All(blind.Tokens, tokens => Assert.Null(Assert.Single(tokens.Attention)));
        Assert.All(off.Tokens, tokens => Assert.Empty(tokens.Attention));
    }
}
