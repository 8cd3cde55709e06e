using Flamingo.Bench.Measuring;

namespace Flamingo.Bench.Figures;

/// <summary>One number and how to get it.</summary>
/// <param name="Name">snake_case, unique in the catalogue.</param>
/// <param name="Against">What the value is relative to, in words.</param>
/// <param name="MeasureAsync">Finite; positive, save what counts flips or memory that grew: it may be zero.</param>
public sealed record Figure(string Name, string Unit, string Against, Func<Workbench, CancellationToken, Task<double>> MeasureAsync)
{
    /// <summary>Random weights answer nonsense: what answers say of the model means nothing there.</summary>
    public bool NeedsTrainedWeights { get; init; }
}
