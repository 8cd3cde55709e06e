using Flamingo.Abstractions;
using Flamingo.SystemTests.Embedded;

namespace Flamingo.SystemTests.Episodes;

/// <summary>
/// The default model in less memory, on every eighth answer of its evaluation: as often right as the original, give or take a few
/// answers.
/// </summary>
public sealed class NarrowWeightsTests(ITestOutputHelper output)
{
    private const int Every = 8;

    [Theory(Timeout = 600_000)]
    [InlineData("float32", "int8")]
    [InlineData("bfloat16", "native")]
    [InlineData("bfloat16", "int8")]
    public async Task Answers_are_as_often_right(string dtype, string storage)
    {
        var golden = Episode.Golden.Answers.Where((_, index) => index % Every == 0).ToList();
        await using var embedded = await EmbeddedFlamingo.StartAsync(null, ("Model:Dtype", dtype), ("Model:WeightStorage", storage));
        var (right, originalRight, same) = (0, 0, 0);
        foreach (var expected in golden)
        {
            var episode = Episode.All[expected.Episode];
            var answer = await embedded.Flamingo.CompleteAsync(
                new FlamingoRequest(episode.Segments(expected.Shots), new SamplingParameters { MaxTokens = 14 }),
                TestContext.Current.CancellationToken);
            right += answer.Text == episode.Answer ? 1 : 0;
            originalRight += expected.Text == episode.Answer ? 1 : 0;
            same += answer.Ids.SequenceEqual(expected.Ids) ? 1 : 0;
        }

        output.WriteLine($"{dtype}, {storage}: {right} of {golden.Count} right, original {originalRight}; {same} identical answers");
        Assert.Equal(150, golden.Count);
        Assert.InRange(right, originalRight - 5, originalRight + 5); // 3 points
        Assert.InRange(same, golden.Count * 17 / 20, golden.Count);
    }
}
