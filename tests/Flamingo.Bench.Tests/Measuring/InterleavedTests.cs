using Flamingo.Bench.Measuring;

namespace Flamingo.Bench.Tests.Measuring;

public sealed class InterleavedTests
{
    [Fact]
    public async Task Sides_take_turns_and_medians_are_compared()
    {
        var order = "";
        var (first, second) = (new Queue<double>([1, 100, 6]), new Queue<double>([2, 3, 4]));
        Task<double> Take(string side, Queue<double> values)
        {
            order += side;
            return Task.FromResult(values.Dequeue());
        }

        var pairs = await Interleaved.RunAsync(3, () => Take("A", first), () => Take("B", second));
        Assert.Equal("ABABAB", order);
        Assert.Equal(6, pairs.FirstMedian(value => value));
        Assert.Equal(3, pairs.SecondMedian(value => value));
        Assert.Equal(2, pairs.Ratio(value => value));
    }

    [Fact]
    public void An_even_number_of_values_has_two_in_the_middle()
    {
        Assert.Equal(2.5, Median.Of([4, 1, 3, 2]));
        Assert.Equal(7, Median.Of([7]));
    }
}
