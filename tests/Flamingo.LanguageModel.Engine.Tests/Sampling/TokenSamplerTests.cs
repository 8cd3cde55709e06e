using CsCheck;
using Flamingo.LanguageModel.Engine.Sampling;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.Tests.Sampling;

public sealed class TokenSamplerTests
{
    private static readonly HashSet<int> Nothing = [];
    private static readonly Gen<float[]> Logits = Gen.Float[-8, 8].Array[2, 40];

    [Fact]
    public void Greedy_takes_the_largest_and_the_lower_id_of_equals()
    {
        Assert.Equal(1, Next([0, 3, 3, -1], new()));
        Logits.Sample(logits => logits[Next(logits, new())] == logits.Max());
    }

    [Fact]
    public void Top_k_keeps_the_k_most_likely() =>
        Gen.Select(Logits, Gen.Int[1, 45], Gen.ULong, Gen.Float[0.1f, 2]).Sample((logits, k, seed, temperature) =>
        {
            var token = Next(logits, new() { Temperature = temperature, TopK = k, Seed = seed });
            return logits.Count(other => other > logits[token]) < k;
        });

    [Fact]
    public void Top_p_keeps_the_smallest_set_that_reaches_p() =>
        Gen.Select(Logits, Gen.Float[0.01f, 1], Gen.ULong, Gen.Float[0.1f, 2]).Sample((logits, p, seed, temperature) =>
        {
            var token = Next(logits, new() { Temperature = temperature, TopP = p, Seed = seed });
            var weights = logits.Select(logit => Math.Exp(logit / (double)temperature)).ToArray();
            var likelier = logits.Zip(weights).Where(pair => pair.First > logits[token]).Sum(pair => pair.Second) / weights.Sum();
            return likelier < p + 1e-6; // had the likelier ones reached p, this token would have been cut
        });

    [Fact]
    public void Top_1_and_a_tiny_p_are_greedy() =>
        Gen.Select(Logits, Gen.ULong).Sample((logits, seed) =>
        {
            var best = Next(logits, new());
            return Next(logits, new() { Temperature = 1, TopK = 1, Seed = seed }) == best && Next(logits, new() { Temperature = 1, TopP = 1e-6f, Seed = seed }) == best;
        });

    [Fact]
    public void The_same_seed_and_position_give_the_same_token_and_other_positions_others()
    {
        var logits = new float[64];
        var sampling = new SamplingParameters { Temperature = 1, Seed = 7 };
        var answer = Enumerable.Range(0, 100).Select(position => Next(logits, sampling, position)).ToArray();
        Assert.Equal(answer, Enumerable.Range(0, 100).Select(position => Next(logits, sampling, position)));
        Assert.True(answer.Distinct().Count() > 30);
        Assert.NotEqual(answer, Enumerable.Range(0, 100).Select(position => Next(logits, sampling with { Seed = 8 }, position)));
    }

    [Theory]
    [InlineData(1f)]
    [InlineData(0.5f)]
    [InlineData(2f)]
    public void Frequencies_are_those_of_the_softmax(float temperature)
    {
        const int draws = 40_000;
        float[] logits = [1, 0, 2, -1];
        var counts = new int[4];
        for (var position = 0; position < draws; position++) counts[Next(logits, new() { Temperature = temperature, Seed = 42 }, position)]++;
        var weights = logits.Select(logit => Math.Exp(logit / temperature)).ToArray();
        for (var id = 0; id < 4; id++)
        {
            var expected = weights[id] / weights.Sum();
            var deviation = Math.Sqrt(expected * (1 - expected) / draws);
            Assert.InRange(counts[id] / (double)draws, expected - (5 * deviation), expected + (5 * deviation));
        }
    }

    [Fact]
    public void The_generator_is_even_over_seeds_and_positions()
    {
        Assert.InRange(Enumerable.Range(0, 20_000).Average(position => CounterGenerator.Uniform(1, position)), 0.49, 0.51);
        Assert.InRange(Enumerable.Range(0, 20_000).Average(seed => CounterGenerator.Uniform((ulong)seed, 1)), 0.49, 0.51);
        Gen.Select(Gen.ULong, Gen.Int).Sample((seed, position) => CounterGenerator.Uniform(seed, position) is >= 0 and < 1);
    }

    [Fact]
    public void The_repetition_penalty_divides_positive_and_multiplies_negative_logits_of_seen_tokens()
    {
        Assert.Equal(1, Next([4, 3, -5], new() { RepetitionPenalty = 2 }, seen: [0]));
        Assert.Equal(2, Next([-4, -6, -5], new() { RepetitionPenalty = 2 }, seen: [0]));
        Assert.Equal(0, Next([4, 3, -5], new() { RepetitionPenalty = 1.2f }, seen: [0]));
        Assert.Equal(0, Next([4, 3], new() { RepetitionPenalty = 1.1f }, seen: [9])); // an id beyond the vocabulary harms nobody
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    public void A_logit_that_is_not_finite_is_internal(float value) =>
        Assert.Equal(StageErrorKind.Internal, Assert.Throws<StageException>(() => Next([0, value, 1], new())).Kind);

    private static int Next(float[] logits, SamplingParameters sampling, int position = 0, HashSet<int>? seen = null) =>
        TokenSampler.Next([.. logits], sampling, seen ?? Nothing, position);
}
