using Flamingo.Bench.Machine;

namespace Flamingo.Bench.Figures;

/// <summary>
/// Figures of the machine itself. Figures with the unit share, which are relative to them, measure the machine again in alternation with
/// the model.
/// </summary>
public static class MachineFigures
{
    public static IEnumerable<Figure> All => [Read, Gemm];

    /// <summary>The best pass of all repetitions, in each of which all threads sum 1 GiB.</summary>
    private static Figure Read => new("read_bandwidth", "GB/s", "absolute: best pass over 1 GiB", async (bench, cancellation) =>
    {
        var memory = new ReadBandwidth(bench.Threads);
        return await Task.Run(() => Enumerable.Range(0, bench.Repetitions).Max(_ => memory.Measure(bench.Time)), cancellation);
    });

    /// <summary>The best product of bf16 matrices of 2048³ and 4096³, of all repetitions.</summary>
    private static Figure Gemm =>
        new("bf16_gemm_peak", "GFLOP/s", "absolute: best product of 2048 and 4096 square matrices", async (bench, cancellation) =>
    {
        using var peak = new MatrixPeak(bench.Threads);
        var best = 0.0;
        for (var round = 0; round < bench.Repetitions; round++) best = Math.Max(best, await peak.MeasureAsync(bench.Time, cancellation));
        return best;
    });
}
