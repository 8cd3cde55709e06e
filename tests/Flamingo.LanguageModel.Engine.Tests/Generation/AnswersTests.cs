using Flamingo.Abstractions;
using Flamingo.LanguageModel.Engine.Generation;
using Flamingo.LanguageModel.Engine.Sampling;
using Flamingo.LanguageModel.Engine.Tests.Scripted;
using Flamingo.Stages;
using Microsoft.Extensions.Logging;

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

    public static TheoryData<string[], SamplingParameters> Impossible => new()
    {
        { ["sampling.allowed_tokens", "sampling.min_tokens"], new() { AllowedTokens = [ScriptedModel.Stop], MinTokens = 1 } },
        {
            ["sampling.allowed_tokens", "sampling.no_repeat_ngram_size"],
            new() { AllowedTokens = [0, 1, 3], NoRepeatNgramSize = 1, Temperature = 1, Seed = 1, Samples = 2 }
        },
        {
            ["sampling.allowed_tokens", "sampling.no_repeat_ngram_size"],
            new() { AllowedTokens = [0, 1, 3], NoRepeatNgramSize = 1, Beams = 2 }
        },
        {
            ["sampling.allowed_tokens", "sampling.no_repeat_ngram_size", "sampling.min_tokens"],
            new() { AllowedTokens = [4, 5, ScriptedModel.Stop], NoRepeatNgramSize = 1, MinTokens = 5, Beams = 3 }
        },
    };

    [Theory]
    [MemberData(nameof(Impossible), DisableDiscoveryEnumeration = true)]
    public async Task A_request_whose_parameters_leave_no_token_fails_alone_and_names_them(string[] fields, SamplingParameters sampling)
    {
        var bad = _engine.Ask("abc", sampling: sampling);
        var good = _engine.Ask("abc");
        await _engine.RunAsync();
        var failure = Assert.IsType<FlamingoException>(bad.Failure);
        Assert.Equal(FlamingoErrorKind.InvalidArgument, failure.Kind);
        Assert.Equal(fields, failure.Faults.Select(fault => fault.Field));
        good.AssertAnswersLikeReference();
        Assert.Equal(0, _engine.Now.LeasedBlocks);
        Assert.Single(_engine.Log.Collector.GetSnapshot(), record => record.Id.Id == 5114 && record.Level == LogLevel.Information);
    }

    [Fact]
    public async Task No_beam_repeats_an_ngram_or_ends_too_early()
    {
        var sampling = new SamplingParameters { Beams = 3, Samples = 3, NoRepeatNgramSize = 2, MinTokens = 4, LengthPenalty = -2 };
        var free = _engine.Ask("abcabcab", answer: 12, sampling: sampling with { NoRepeatNgramSize = 0, MinTokens = 0 });
        var bound = _engine.Ask("abcabcab", answer: 12, sampling: sampling);
        await _engine.RunAsync();
        free.AssertAnswersLikeReference();
        bound.AssertAnswersLikeReference();
        Assert.Equal(3, bound.Answers.Count);
        Assert.Contains(free.Answers, answer => answer.Ids.Count <= 4);
        foreach (var answer in bound.Answers)
        {
            Assert.True(answer.Ids.Count > 4);
            int[] ids = [1, .. answer.Ids];
            var pairs = ids.Zip(ids.Skip(1)).ToList();
            Assert.Equal(pairs.Count, pairs.Distinct().Count());
            Assert.Empty(pairs.Intersect([(0, 1), (1, 2), (2, 0)])); // those of the prompt
        }
    }

    [Fact]
    public async Task The_model_returns_logits_only_where_a_parameter_may_change_its_choice()
    {
        foreach (var (sampling, only) in new (SamplingParameters, bool)[]
        {
            (new(), true), (new() { MinP = 0.5f, StopTokens = [2] }, true), (new() { FrequencyPenalty = 1 }, false),
            (new() { PresencePenalty = 1 }, false), (new() { NoRepeatNgramSize = 3 }, false), (new() { MinTokens = 1 }, false),
            (new() { LogProbabilities = 0 }, false),
        })
        {
            var engine = new SteppedEngine();
            var request = engine.Ask("abca", sampling: sampling);
            await engine.RunAsync();
            Assert.All(engine.Batches, batch => Assert.Equal(only, Assert.Single(batch.Chunks).OnlyBest));
            request.AssertAnswersLikeReference();
        }
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
