using System.Globalization;

namespace Flamingo.Evaluation.Reports.Curves;

/// <summary>The vertical axis of a plot: its ends, and round values between them.</summary>
internal sealed record CurveScale(double Low, double High, double Step)
{
    private const int Intervals = 5;

    public IEnumerable<double> Ticks =>
        Enumerable.Range(0, (int)Math.Round((High - Low) / Step) + 1).Select(index => Low + (index * Step));

    /// <summary>
    /// The axis around values that are not negative. It begins at 0 unless all values are close to each other and far from 0, and ends at
    /// the largest possible value at most.
    /// </summary>
    /// <param name="top">The largest possible value; null where there is none.</param>
    public static CurveScale Around(IReadOnlyCollection<double> values, double? top)
    {
        var (least, most) = (Math.Max(0, values.Min()), values.Max());
        if (top is { } end) most = Math.Min(most, end);
        if (least < 0.5 * most) least = 0;
        if (most - least < 0.02 * Math.Max(most, 1e-9)) (least, most) = (least * 0.9, Math.Max(most * 1.1, (top ?? 1) * 0.1));
        if (top is { } limit) most = Math.Min(most, limit);
        var step = Round((most - least) / Intervals);
        var high = Math.Ceiling((most / step) - 1e-6) * step;
        return new CurveScale(Math.Floor((least / step) + 1e-6) * step, top is { } roof ? Math.Min(high, roof) : high, step);
    }

    public string Label(double tick)
    {
        var digits = Math.Max(0, (int)Math.Ceiling(-Math.Log10(Step) - 1e-6));
        return tick.ToString($"F{digits}", CultureInfo.InvariantCulture);
    }

    // The nearest of 1, 2 and 5 × a power of ten, which all divide 1 and 100.
    private static double Round(double step)
    {
        var power = Math.Pow(10, Math.Floor(Math.Log10(step)));
        return power * (step / power) switch { < 1.4 => 1, < 3.2 => 2, < 7.1 => 5, _ => 10 };
    }
}
