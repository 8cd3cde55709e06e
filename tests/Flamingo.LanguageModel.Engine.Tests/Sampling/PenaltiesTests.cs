using CsCheck;
using Flamingo.Abstractions;
using Flamingo.LanguageModel.Engine.Sampling;

namespace Flamingo.LanguageModel.Engine.Tests.Sampling;

/// <summary>
/// What depends on the tokens so far: penalties, n-grams that may not repeat, and the minimum number of tokens. Also min-p.
/// </summary>
public sealed class PenaltiesTests
{
    private const float Never = float.NegativeInfinity;

    [Fact]
    public void Frequency_and_presence_penalties_count_the_answer_and_not_the_prompt()
    {
        // 0 occurs twice in the answer, 1 once, 2 only in the prompt
        Assert.Equal([1.5f, 2, -1, 0], Adjusted([2.5f, 2.5f, -1, 0], new() { FrequencyPenalty = 0.5f }, [2, 2, 2], [0, 1, 0]));
        Assert.Equal([1, 1, -1, 0], Adjusted([2.5f, 2.5f, -1, 0], new() { PresencePenalty = 1.5f }, [2, 2, 2], [0, 1, 0]));
        Assert.Equal(
            [6.5f, 4, -1, 0], Adjusted([2, 1.5f, -1, 0], new() { FrequencyPenalty = -2, PresencePenalty = -0.5f }, [2], [0, 1, 0]));
        Assert.Equal([2.5f, 2.5f], Adjusted([2.5f, 2.5f], new() { FrequencyPenalty = 2, PresencePenalty = 2 }, [0, 0, 1], []));
    }

    [Fact]
    public void The_repetition_penalty_comes_before_them_and_counts_prompt_and_answer() =>
        // 4 / 2 − 1 − 0.5; −4 × 2; 1 is in neither
        Assert.Equal([0.5f, 3, -8], Adjusted(
            [4, 3, -4], new() { RepetitionPenalty = 2, FrequencyPenalty = 1, PresencePenalty = 0.5f }, [2], [0]));

    // The expected values are those of transformers' own test, test_no_repeat_ngram_dist_processor.
    [Theory]
    [InlineData(2, new[] { 1, 1, 2, 1 }, new[] { 1, 2 })]
    [InlineData(2, new[] { 0, 1, 0, 1 }, new[] { 0 })]
    [InlineData(3, new[] { 1, 1, 2, 1 }, new int[0])]
    [InlineData(3, new[] { 0, 1, 0, 1 }, new[] { 0 })]
    [InlineData(1, new[] { 0, 2, 0 }, new[] { 0, 2 })] // the following are by hand
    [InlineData(1, new[] { 1 }, new[] { 1 })]
    [InlineData(2, new[] { 1 }, new int[0])]
    [InlineData(2, new[] { 1, 1 }, new[] { 1 })]
    [InlineData(3, new[] { 1, 1 }, new int[0])]
    [InlineData(4, new[] { 1, 1, 1, 1, 1 }, new[] { 1 })]
    [InlineData(0, new[] { 1, 1, 1, 1, 1 }, new int[0])]
    [InlineData(2, new[] { 7, 9, 7 }, new int[0])] // the prompt's ids may be beyond the vocabulary
    public void No_ngram_of_prompt_and_answer_repeats(int size, int[] ids, int[] forbidden)
    {
        // It makes no difference where the prompt ends.
        for (var prompt = 0; prompt <= ids.Length; prompt++)
        {
            if (ids[prompt..].Any(id => id > 2)) continue; // no such id is ever generated
            Assert.Equal(
                Enumerable.Range(0, 3).Select(id => forbidden.Contains(id) ? Never : 1),
                Adjusted([1, 1, 1], new() { NoRepeatNgramSize = size }, ids[..prompt], ids[prompt..]));
        }
    }

    [Fact]
    public void Stop_tokens_are_forbidden_until_there_are_enough_tokens()
    {
        var sampling = new SamplingParameters { MinTokens = 2, StopTokens = [1] };
        Assert.Equal([0, Never, 0, Never], Adjusted([0, 0, 0, 0], sampling, [0, 0, 0], [], stops: [3, 99]));
        Assert.Equal([0, Never, 0, Never], Adjusted([0, 0, 0, 0], sampling, [0, 0, 0], [2], stops: [3, 99]));
        Assert.Equal([0, 0, 0, 0], Adjusted([0, 0, 0, 0], sampling, [0, 0, 0], [2, 0], stops: [3, 99]));
    }

    // The probabilities and the tokens that 0.1 keeps are those of transformers' own test, test_min_p_dist_warper.
    [Theory]
    [InlineData(new[] { 0.9f, 0.0274f, 0.047f, 0.0274f }, 0.1f, new[] { 0 })]
    [InlineData(new[] { 0.15f, 0.3f, 0.3f, 0.25f }, 0.1f, new[] { 0, 1, 2, 3 })]
    [InlineData(new[] { 0.15f, 0.3f, 0.3f, 0.25f }, 0.6f, new[] { 1, 2, 3 })]
    [InlineData(new[] { 0.15f, 0.3f, 0.3f, 0.25f }, 1f, new[] { 1, 2 })]
    [InlineData(new[] { 0.15f, 0.3f, 0.3f, 0.25f }, 0f, new[] { 0, 1, 2, 3 })]
    public void Min_p_keeps_what_is_likely_enough_beside_the_likeliest(float[] probabilities, float minP, int[] kept)
    {
        float[] logits = [.. probabilities.Select(value => MathF.Log(value))];
        Assert.Equal(kept, Drawn(logits, new() { Temperature = 1, MinP = minP }).Order());
        Assert.Equal(kept, Drawn(logits, new() { Temperature = 1, MinP = minP, TopK = 4, TopP = 0.9999f }).Order());
    }

    [Fact]
    public void Min_p_comes_after_temperature_and_after_top_p()
    {
        // Ratios to the likeliest are 1, 0.5, 0.25; at temperature 2 they are 1, 0.71, 0.5.
        float[] logits = [MathF.Log(4), MathF.Log(2), 0];
        Assert.Equal([0, 1], Drawn(logits, new() { Temperature = 1, MinP = 0.3f }).Order());
        Assert.Equal([0, 1, 2], Drawn(logits, new() { Temperature = 2, MinP = 0.3f }).Order());
        // Probabilities 0.4, 0.35 and 25 of 0.01. The first two have 0.75, so that top-p 0.8 keeps seven tokens and min-p two of these.
        // If min-p came first, the two would have 0.53 and 0.47, and both would be kept at any top-p above 0.53: at 0.5 only one.
        float[] many = [MathF.Log(0.4f), MathF.Log(0.35f), .. Enumerable.Repeat(MathF.Log(0.01f), 25)];
        Assert.Equal([0, 1], Drawn(many, new() { Temperature = 1, MinP = 0.5f, TopP = 0.8f }).Order());
        Assert.Equal([0, 1], Drawn(many, new() { Temperature = 1, MinP = 0.5f, TopP = 0.5f }).Order());
    }

    [Fact]
    public void Agrees_with_the_definitions() =>
        (from vocabulary in Gen.Int[1, 12]
         from logits in Gen.Int[-12, 12].Array[vocabulary]
         from prompt in Gen.Int[0, vocabulary + 3].Array[0, 12] // some ids are beyond the vocabulary
         from answer in Gen.Int[0, vocabulary - 1].Array[0, 12]
         from stops in Gen.Int[0, vocabulary + 1].Array[0, 2]
         from penalties in Gen.Select(One(1, 0.5f, 1.7f), Penalty, Penalty)
         from limits in Gen.Select(Gen.Int[0, 4], Gen.Int[0, 14], Gen.Int[0, vocabulary - 1].Array[0, 2])
         from draw in Gen.Select(Gen.Float[0, 2], Gen.Int[0, 13], One(1, 0.4f, 0.9f), One(0, 0.05f, 0.3f, 1))
         from seed in Gen.ULong
         from allowed in Gen.Bool
         select (logits, prompt, answer, stops, new SamplingParameters
         {
             RepetitionPenalty = penalties.Item1, FrequencyPenalty = penalties.Item2, PresencePenalty = penalties.Item3,
             NoRepeatNgramSize = limits.Item1, MinTokens = limits.Item2, StopTokens = limits.Item3,
             Temperature = draw.Item1 < 0.5f ? 0 : draw.Item1, TopK = draw.Item2, TopP = draw.Item3, MinP = draw.Item4, Seed = seed,
             AllowedTokens = allowed ? [.. Enumerable.Range(0, (vocabulary + 1) / 2)] : [],
             LogitBias = new Dictionary<int, float> { [0] = 1.5f },
         })).Sample((values, prompt, answer, stops, sampling) =>
    {
        float[] logits = [.. values.Select(value => value / 2f)];
        var (sampler, history) = (new TokenSampler(sampling, stops), History(sampling, prompt, answer));
        var expected = PlainSampling.Next(logits, prompt, answer, sampling, stops, sample: 1);
        var position = prompt.Length + answer.Length;
        if (expected is null)
        {
            var failure = Assert.Throws<FlamingoException>(() => sampler.Next([.. logits], history, position, 1));
            Assert.Equal(FlamingoErrorKind.InvalidArgument, failure.Kind);
            return;
        }

        Assert.Equal(expected, sampler.Next([.. logits], history, position, 1));
        float[] scores = [.. logits];
        sampler.Adjust(scores, history);
        Assert.Equal(PlainSampling.Adjusted(logits, prompt, answer, sampling, stops), scores);
        if (sampler.TakesOnlyBest) Assert.Equal(logits.IndexOf(logits.Max()), expected);
    }, iter: 30_000);

    [Fact]
    public void A_fork_goes_its_own_way()
    {
        var sampling = new SamplingParameters
        {
            RepetitionPenalty = 2, FrequencyPenalty = 1, PresencePenalty = 1, NoRepeatNgramSize = 2, MinTokens = 3,
        };
        var sampler = new TokenSampler(sampling, [5]);
        var trunk = History(sampling, [0], [1]);
        var (one, other) = (trunk.Fork(2), trunk.Fork(3));
        one.Add(1);
        Assert.Equal(Adjusted(sampler, History(sampling, [0], [1])), Adjusted(sampler, trunk));
        Assert.Equal(Adjusted(sampler, History(sampling, [0], [1, 2, 1])), Adjusted(sampler, one));
        Assert.Equal(Adjusted(sampler, History(sampling, [0], [1, 3])), Adjusted(sampler, other));
        Assert.Equal((1, 3, 2), (trunk.Generated, one.Generated, other.Generated));
    }

    public static TheoryData<string[], SamplingParameters> Impossible => new()
    {
        { ["sampling.allowed_tokens", "sampling.min_tokens"], new() { AllowedTokens = [3], MinTokens = 2 } },
        { ["sampling.allowed_tokens", "sampling.no_repeat_ngram_size"], new() { AllowedTokens = [0], NoRepeatNgramSize = 1 } },
        { ["sampling.no_repeat_ngram_size", "sampling.min_tokens"], new() { NoRepeatNgramSize = 1, MinTokens = 2, StopTokens = [1, 2] } },
    };

    [Theory]
    [MemberData(nameof(Impossible), DisableDiscoveryEnumeration = true)]
    public void Parameters_that_leave_no_token_are_faults_that_name_them(string[] fields, SamplingParameters sampling)
    {
        foreach (var temperature in new[] { 0, 1f })
        {
            var drawn = sampling with { Temperature = temperature, Seed = 1, TopK = 2, TopP = 0.5f, MinP = 0.5f };
            var failure = Assert.Throws<FlamingoException>(
                () => new TokenSampler(drawn, [3]).Next(new float[4], History(drawn, [], [0]), 1));
            Assert.Equal(FlamingoErrorKind.InvalidArgument, failure.Kind);
            Assert.Equal(fields, failure.Faults.Select(fault => fault.Field));
            Assert.All(failure.Faults, fault => Assert.Contains("token 2 of the answer", fault.Problem, StringComparison.Ordinal));
        }
    }

    // The repetition penalty can leave the range of numbers; the generator must not draw from what is not a number.
    [Theory]
    [InlineData(0f)]
    [InlineData(1f)]
    public void A_logit_that_a_penalty_makes_infinite_is_internal(float temperature)
    {
        var sampling = new SamplingParameters { RepetitionPenalty = 0.1f, Temperature = temperature, Seed = 1 };
        var failure = Assert.Throws<FlamingoException>(
            () => new TokenSampler(sampling, []).Next([float.MaxValue, 1], new TokenHistory(sampling, [0]), 1));
        Assert.Equal(FlamingoErrorKind.Internal, failure.Kind);
    }

    public static TheoryData<SamplingParameters> NotGreedy =>
    [
        new SamplingParameters { FrequencyPenalty = 0.1f }, new SamplingParameters { FrequencyPenalty = -0.1f },
        new SamplingParameters { PresencePenalty = 0.1f }, new SamplingParameters { PresencePenalty = -0.1f },
        new SamplingParameters { NoRepeatNgramSize = 9 }, new SamplingParameters { MinTokens = 1 },
        new SamplingParameters { RepetitionPenalty = 1.1f }, new SamplingParameters { Temperature = 0.1f },
        new SamplingParameters { AllowedTokens = [1] }, new SamplingParameters { LogitBias = new Dictionary<int, float> { [1] = 1 } },
    ];

    [Fact]
    public void The_models_best_is_enough_where_no_parameter_changes_it()
    {
        var sampling = new SamplingParameters { MinP = 0.5f, TopK = 3, TopP = 0.5f, StopTokens = [1], StopStrings = ["x"] };
        Assert.True(new TokenSampler(sampling, [1]).TakesOnlyBest);
    }

    [Theory]
    [MemberData(nameof(NotGreedy), DisableDiscoveryEnumeration = true)]
    public void The_models_best_is_not_enough_where_a_parameter_may_change_it(SamplingParameters sampling) =>
        Assert.False(new TokenSampler(sampling, [1]).TakesOnlyBest);

    private static Gen<float> Penalty => One(0, 0.25f, 2, -1.5f);

    private static Gen<float> One(params float[] values) => Gen.Int[0, values.Length - 1].Select(index => values[index]);

    private static TokenHistory History(SamplingParameters sampling, int[] prompt, int[] answer)
    {
        var history = new TokenHistory(sampling, prompt);
        foreach (var token in answer) history.Add(token);
        return history;
    }

    private static float[] Adjusted(float[] scores, SamplingParameters sampling, int[] prompt, int[] answer, int[]? stops = null)
    {
        new TokenSampler(sampling, stops ?? []).Adjust(scores, History(sampling, prompt, answer));
        return scores;
    }

    private static float[] Adjusted(TokenSampler sampler, TokenHistory history)
    {
        var scores = Enumerable.Repeat(1f, 6).ToArray();
        sampler.Adjust(scores, history);
        return scores;
    }

    private static HashSet<int> Drawn(float[] logits, SamplingParameters sampling) =>
        [.. Enumerable.Range(0, 5000).Select(position =>
            new TokenSampler(sampling with { Seed = 3 }, []).Next([.. logits], new TokenHistory(sampling, []), position))];
}
