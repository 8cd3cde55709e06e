using CsCheck;
using Flamingo.LanguageModel.Engine.Sampling;

namespace Flamingo.LanguageModel.Engine.Tests.Sampling;

public sealed class LogProbabilitiesTests
{
    private static readonly Gen<float[]> Logits = Gen.Float[-8, 8].Array[1, 40];

    [Fact]
    public void Sum_to_one_and_keep_the_distances_of_logits() => Logits.Sample(logits =>
    {
        var result = LogProbabilities.LogSoftmax(logits);
        Assert.Equal(1, result.Sum(value => Math.Exp(value)), 1e-5);
        Assert.All(result.Zip(logits), pair => Assert.Equal(logits[0] - pair.Second, result[0] - pair.First, 1e-4f));
    });

    [Fact]
    public void Large_logits_do_not_overflow() => Assert.Equal([-0.6931472f, -0.6931472f], LogProbabilities.LogSoftmax([1e30f, 1e30f]));

    [Fact]
    public void The_top_are_those_of_a_full_sort_lower_ids_first_among_equals() =>
        Gen.Select(Gen.Int[-3, 3].Array[1, 30], Gen.Int[0, 20], Gen.Int[0, 1000]).Sample((values, top, token) =>
    {
        float[] scores = [.. values];
        var expected = scores.Select((score, id) => (id, score)).OrderByDescending(pair => pair.score).ThenBy(pair => pair.id).Take(top);
        var actual = LogProbabilities.Of(scores, token % scores.Length, top, id => new[] { (byte)id });
        Assert.Equal(expected, actual.Top);
        Assert.Equal((token % scores.Length, scores[token % scores.Length]), (actual.Id, actual.LogProbability));
    });
}
