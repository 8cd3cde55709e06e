namespace Flamingo.Bench.Measuring;

/// <summary>Measures two alternatives in alternation, ABAB…, so that a drift of the machine's speed affects both.</summary>
public static class Interleaved
{
    public static async Task<Paired<T>> RunAsync<T>(int repetitions, Func<Task<T>> first, Func<Task<T>> second)
    {
        var (firsts, seconds) = (new List<T>(repetitions), new List<T>(repetitions));
        for (var round = 0; round < repetitions; round++)
        {
            firsts.Add(await first());
            seconds.Add(await second());
        }

        return new Paired<T>(firsts, seconds);
    }
}

/// <summary>The measurements of both alternatives, in order of the rounds.</summary>
public sealed record Paired<T>(IReadOnlyList<T> First, IReadOnlyList<T> Second)
{
    /// <summary>The median of the first alternative over the median of the second one.</summary>
    public double Ratio(Func<T, double> value) => FirstMedian(value) / SecondMedian(value);

    public double FirstMedian(Func<T, double> value) => Median.Of(First.Select(value));

    public double SecondMedian(Func<T, double> value) => Median.Of(Second.Select(value));
}

public static class Median
{
    /// <summary>Returns the middle value, or the mean of the two middle values.</summary>
    public static double Of(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }
}
