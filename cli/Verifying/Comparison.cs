using System.Globalization;

namespace Flamingo.Cli.Verifying;

public enum Outcome
{
    Held,
    Broken,
    Skipped,
}

/// <summary>One line of the verification report.</summary>
public sealed record Comparison(string Name, Outcome Outcome, string Detail)
{
    /// <summary>Largest allowed error relative to the largest absolute golden value.</summary>
    public const double TensorTolerance = 1e-5;

    /// <summary>Largest allowed difference of a log-likelihood.</summary>
    public const double RankTolerance = 1e-3;

    /// <summary>Decoders and resizers may differ by one grey level before normalization.</summary>
    public const double GreyLevels = 1;

    public static Comparison OfTensors(string name, ReadOnlySpan<float> golden, ReadOnlySpan<float> actual)
    {
        if (golden.Length != actual.Length)
            return new(name, Outcome.Broken, $"{actual.Length} values where the golden has {golden.Length}");
        var (largest, error, worst) = (0.0, 0.0, 0);
        for (var index = 0; index < golden.Length; index++)
        {
            largest = Math.Max(largest, Math.Abs((double)golden[index]));
            var difference = Math.Abs((double)golden[index] - actual[index]);
            if (double.IsNaN(difference)) difference = double.PositiveInfinity;
            if (difference > error) (error, worst) = (difference, index);
        }

        var relative = error == 0 ? 0 : error / largest;
        return Within(name, relative, TensorTolerance, "largest error", $" at element {worst} of {golden.Length}");
    }

    public static Comparison OfIds(string name, IReadOnlyList<int> golden, IReadOnlyList<int> actual)
    {
        var same = golden.Zip(actual).TakeWhile(pair => pair.First == pair.Second).Count();
        if (same == golden.Count && same == actual.Count) return new(name, Outcome.Held, $"{same} ids identical");
        static string At(IReadOnlyList<int> ids, int index) =>
            index < ids.Count ? ids[index].ToString(CultureInfo.InvariantCulture) : "the end";
        return new(name, Outcome.Broken, $"first difference at {same}: {At(actual, same)} where the golden has {At(golden, same)}");
    }

    /// <param name="where">The place of the largest error, which is reported only if the tolerance is exceeded.</param>
    public static Comparison Within(string name, double error, double tolerance, string what, string where = "") =>
        error <= tolerance
            ? new(name, Outcome.Held, string.Create(CultureInfo.InvariantCulture, $"{what} {error:0.0e+0} (allowed {tolerance:0e+0})"))
            : new(
                name, Outcome.Broken,
                string.Create(CultureInfo.InvariantCulture, $"{what} {error:0.0e+0}{where} (allowed {tolerance:0e+0})"));
}
