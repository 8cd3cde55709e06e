using Flamingo.Modeling.Runtime;

using static TorchSharp.torch;

namespace Flamingo.Bench.Machine;

/// <summary>
/// The speed at which this machine multiplies bf16 matrices with the library that the model uses: the best of 2048³ and 4096³.
/// </summary>
public sealed class MatrixPeak(int threads) : IDisposable
{
    private static readonly int[] Sizes = [2048, 4096];
    private readonly InferenceThread _thread = new(threads);

    /// <summary>Returns GFLOP/s; a product of n × n matrices counts as 2 n³ operations.</summary>
    public Task<double> MeasureAsync(TimeProvider time,
        CancellationToken cancellation) => _thread.RunAsync(() => Sizes.Max(size => Measure(size, time)), cancellation);

    public void Dispose() => _thread.Dispose();

    private static double Measure(int size, TimeProvider time)
    {
        using var scope = NewDisposeScope();
        var (left, right, product) = (ones(size, size, ScalarType.BFloat16), ones(size, size, ScalarType.BFloat16),
            zeros(size, size, ScalarType.BFloat16));
        var best = 0.0;
        for (var pass = 0; pass < 3; pass++) // the first pass packs and allocates
        {
            var started = time.GetTimestamp();
            product.addmm_(left, right, beta: 0, alpha: 1); // in place, because the page faults of a new tensor would be measured too
            best = Math.Max(best, 2.0 * size * size * size / time.GetElapsedTime(started).TotalSeconds / 1e9);
        }

        return best;
    }
}
