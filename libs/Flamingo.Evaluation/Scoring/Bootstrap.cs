namespace Flamingo.Evaluation.Scoring;

/// <summary>Intervals by resampling: how much a score would vary if other queries of the same kind had been asked.</summary>
public static class Bootstrap
{
    public const int Resamples = 1000;

    private const double Share = 0.95;

    // A fixed seed, so that a report made twice from the same answers is the same.
    private const ulong Seed = 1;

    /// <summary>The middle 95 % of a statistic over resamples of the items.</summary>
    /// <param name="statistic">Of the items whose indices it is given, which may repeat.</param>
    /// <returns>NaN twice where there is no item.</returns>
    public static (double Low, double High) Interval(int items, Func<IReadOnlyList<int>, double> statistic)
    {
        if (items == 0) return (double.NaN, double.NaN);
        var (values, drawn) = (new List<double>(Resamples), new int[items]);
        for (var resample = 0; resample < Resamples; resample++)
        {
            for (var item = 0; item < items; item++) drawn[item] = Drawn(resample, item, items);
            if (statistic(drawn) is var value && !double.IsNaN(value)) values.Add(value); // one class alone has no area under a curve
        }

        values.Sort();
        return values.Count == 0 ? (double.NaN, double.NaN)
            : (Quantile(values, (1 - Share) / 2), Quantile(values, (1 + Share) / 2));
    }

    /// <summary>The interval of a mean.</summary>
    public static (double Low, double High) OfMean(IReadOnlyList<double> values) => Interval(values.Count, drawn =>
    {
        double sum = 0;
        foreach (var item in drawn) sum += values[item];
        return sum / drawn.Count;
    });

    // SplitMix64 of a counter, so that a draw depends on its place alone and is the same in every version of .NET.
    private static int Drawn(int resample, int item, int items)
    {
        var mixed = Seed + (0x9E3779B97F4A7C15 * (((ulong)resample << 32) + (ulong)item + 1));
        mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9;
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB;
        return (int)Math.BigMul(mixed ^ (mixed >> 31), (ulong)items, out _);
    }

    private static double Quantile(List<double> sorted, double share)
    {
        var place = share * (sorted.Count - 1);
        var below = (int)place;
        return below + 1 < sorted.Count ? sorted[below] + ((place - below) * (sorted[below + 1] - sorted[below])) : sorted[^1];
    }
}
