using Flamingo.Abstractions;
using Flamingo.Bench.Measuring;
using Flamingo.Stages;

namespace Flamingo.Bench.Tests.Measuring;

public sealed class FlipsTests
{
    [Theory]
    [InlineData("1 2 3", "1 2 3", 0, 3)]
    [InlineData("1 2 3", "1 5 6", 1, 2)] // tokens after the first difference are not compared
    [InlineData("1 2", "1 2 3", 1, 3)] // one answer ended earlier
    [InlineData("1 2 3", "4", 1, 1)]
    public void The_first_divergence_of_an_answer_counts_once(string expected, string actual, int flipped, int compared) =>
        Assert.Equal(new Flips(flipped, compared), Flips.Between(Ids(expected), Ids(actual)));

    [Fact]
    public void Answers_add_up()
    {
        var flips = Flips.Between([Ids("1 2 3"), Ids("1 2 3")], [Ids("1 2 3"), Ids("9 2 3")]);
        Assert.Equal(new Flips(1, 4), flips);
        Assert.Equal(0.25, flips.Share);
    }

    [Fact]
    public void Mixed_prompts_are_the_same_for_the_same_seed_and_have_all_numbers_of_shots()
    {
        var pictures = new NoisePictures(3, seed: 1);
        var picture = pictures.Next();
        var (one, again) = (new MixedPrompts(() => picture, "<end>", seed: 4), new MixedPrompts(() => picture, "<end>", seed: 4));
        var counts = new HashSet<int>();
        for (var prompt = 0; prompt < 50; prompt++)
        {
            var segments = one.Next();
            Assert.Equal(segments, again.Next());
            Assert.IsType<FlamingoText>(segments[^1]);
            counts.Add(segments.Count);
        }

        Assert.Equal([2, 4, 6, 8], counts.Order());
    }

    private static int[] Ids(string text) => [.. text.Split(' ').Select(int.Parse)];
}
