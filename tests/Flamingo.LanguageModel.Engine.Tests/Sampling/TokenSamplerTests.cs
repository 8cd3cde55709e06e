using CsCheck;
using Flamingo.Abstractions;
using Flamingo.LanguageModel.Engine.Sampling;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.Tests.Sampling;

public sealed class TokenSamplerTests
{
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
            return likelier < p + 1e-6; // if the more likely tokens had reached p, this token would have been removed
        });

    [Fact]
    public void Top_1_and_a_tiny_p_are_greedy() =>
        Gen.Select(Logits, Gen.ULong).Sample((logits, seed) =>
        {
            var best = Next(logits, new());
            return Next(logits, new() { Temperature = 1, TopK = 1, Seed = seed }) == best
                && Next(logits, new() { Temperature = 1, TopP = 1e-6f, Seed = seed }) == best;
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
        for (var position = 0; position < draws; position++)
            counts[Next(logits, new() { Temperature = temperature, Seed = 42 }, position)]++;
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
        Assert.Equal(0, Next([4, 3], new() { RepetitionPenalty = 1.1f }, seen: [9])); // an id beyond the vocabulary is ignored
    }

    [Fact]
    public void Agrees_with_a_full_sort() =>
        Gen.Select(Gen.Int[-20, 20].Array[2, 40], Gen.Int[0, 45], Gen.Float[0.05f, 1], Gen.ULong, Gen.Float[0.05f, 2])
            .Sample((values, k, p, seed, temperature) =>
    {
        // Few distinct values over a wide range give ties, and weights far below the first thresholds.
        float[] logits = [.. values.Select(value => value * 2f)];
        var weights = logits.Select(logit => Math.Exp((logit - logits.Max()) / (double)temperature)).ToArray();
        var kept = Enumerable.Range(0, logits.Length)
            .OrderByDescending(id => logits[id])
            .ThenBy(id => id)
            .Take(k == 0 ? logits.Length : k)
            .ToList();
        var needed = p * kept.Sum(id => weights[id]);
        if (p < 1)
            kept = [
                .. kept.Take(
                    Enumerable.Range(1, kept.Count)
                        .First(count => count == kept.Count || kept.Take(count).Sum(id => weights[id]) >= needed))
            ];
        var target = CounterGenerator.Uniform(seed, 5) * kept.Sum(id => weights[id]);
        var sums = kept.Select((_, rank) => kept.Take(rank + 1).Sum(id => weights[id])).ToList();
        if (k == 0 && p == 1) return; // the draw then uses the order of ids
        var expected = kept[Math.Max(0, sums.FindIndex(sum => target < sum))];
        Assert.Equal(expected, Next(logits, new() { Temperature = temperature, TopK = k, TopP = p, Seed = seed }, 5));
    }, iter: 5000);

    [Fact]
    public void A_bias_moves_a_token_and_only_allowed_ones_are_chosen() =>
        Gen.Select(Logits, Gen.Int[0, 1000], Gen.ULong, Gen.Float[0, 2]).Sample((logits, favourite, seed, temperature) =>
    {
        favourite %= logits.Length;
        var sampling = new SamplingParameters { Temperature = temperature, Seed = seed };
        Assert.Equal(favourite, Next(logits, sampling with { LogitBias = new Dictionary<int, float> { [favourite] = 100 } }));
        Assert.Equal(favourite, Next(logits, sampling with { AllowedTokens = [favourite] }));
        Assert.Equal(
            favourite,
            Next(
                logits, sampling with { AllowedTokens = [favourite], TopK = 3, TopP = 0.5f, RepetitionPenalty = 1.5f }, seen: [favourite]));
        int[] two = [favourite, (favourite + 1) % logits.Length];
        Assert.Contains(
            Next(
                logits,
                sampling with { AllowedTokens = two, LogitBias = new Dictionary<int, float> { [(favourite + 2) % logits.Length] = 100 } }),
            two);
        if (logits.Length > 1)
            Assert.NotEqual(favourite, Next(logits, sampling with { LogitBias = new Dictionary<int, float> { [favourite] = -100 } }));
    });

    [Fact]
    public void Bias_comes_before_the_repetition_penalty() =>
        // (−1 + 4) / 2 < 2
        Assert.Equal(1, Next([-1, 2, 0], new() { LogitBias = new Dictionary<int, float> { [0] = 4 }, RepetitionPenalty = 2 }, seen: [0]));

    [Fact]
    public void The_list_of_allowed_tokens_is_read_once_and_not_in_every_step()
    {
        var allowed = new CountedList([2, 0]);
        var sampling = new SamplingParameters { AllowedTokens = allowed };
        var (sampler, history) = (new TokenSampler(sampling, []), new TokenHistory(sampling, []));
        var reads = allowed.Reads;
        for (var step = 0; step < 100; step++) Assert.Equal(2, sampler.Next([1, 9, 2, 3], history, step));
        Assert.Equal(reads, allowed.Reads);
    }

    [Fact]
    public void Samples_of_one_seed_draw_like_the_seeds_after_it() =>
        Gen.Select(Logits, Gen.ULong, Gen.Int[0, 100], Gen.Int[0, 9]).Sample((logits, seed, position, sample) =>
        Next(logits, new() { Temperature = 1, Seed = seed }, position, sample: sample)
            == Next(logits, new() { Temperature = 1, Seed = unchecked(seed + (ulong)sample) }, position));

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    public void A_logit_that_is_not_finite_is_internal(float value) =>
        Assert.Equal(FlamingoErrorKind.Internal, Assert.Throws<FlamingoException>(() => Next([0, value, 1], new())).Kind);

    private static int Next(float[] logits, SamplingParameters sampling, int position = 0, int[]? seen = null, int sample = 0) =>
        new TokenSampler(sampling, []).Next([.. logits], new TokenHistory(sampling, seen ?? []), position, sample);

    /// <summary>A list that counts how often it is enumerated.</summary>
    private sealed class CountedList(int[] items) : IReadOnlyList<int>
    {
        public int Reads { get; private set; }

        public int Count => items.Length;

        public int this[int index] => items[index];

        public IEnumerator<int> GetEnumerator()
        {
            Reads++;
            return items.AsEnumerable().GetEnumerator();
        }

        System.Collections.IEnumerator System.Collections.IEnumerable.GetEnumerator() => GetEnumerator();
    }
}
