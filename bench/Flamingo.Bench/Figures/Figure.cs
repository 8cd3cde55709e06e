using Flamingo.Bench.Measuring;

namespace Flamingo.Bench.Figures;

/// <summary>A figure of the benchmark and the function that measures it.</summary>
/// <param name="Name">Name in snake_case, unique in the catalogue.</param>
/// <param name="Against">A description of the reference value or the setup.</param>
/// <param name="MeasureAsync">
/// Returns a finite positive value; figures that count flips, the growth of memory or the processor time of idleness may also return zero.
/// </param>
public sealed record Figure(string Name, string Unit, string Against, Func<Workbench, CancellationToken, Task<double>> MeasureAsync)
{
    /// <summary>Whether the figure judges the content of answers, which is meaningless with random weights.</summary>
    public bool NeedsTrainedWeights { get; init; }
}
