using Flamingo.Abstractions;
using Flamingo.Bench.Machine;
using Flamingo.Bench.Measuring;
using Flamingo.Bench.Stacks;
using Flamingo.Modeling.Memory;
using Flamingo.Modeling.Weights;
using Flamingo.Stages;

namespace Flamingo.Bench.Figures;

/// <summary>Memory and speed of native and int8 weights in the run's dtype, and the time and memory of a cold start.</summary>
public static class WeightFigures
{
    public static IEnumerable<Figure> All => [Memory, Speed, .. ColdStart];

    private static Figure Memory =>
        new("int8_weight_memory_share", "share", "bytes of all stages' weights held as int8 over native, in the run's dtype",
            async (bench, cancellation) =>
    {
        var stack = await bench.EmbeddedAsync(cancellation);
        var (narrow, native) = (stack.WeightBytes(WeightStorage.Int8), stack.WeightBytes(WeightStorage.Native));
        await bench.ReportAsync($"  {MemoryReport.Size(narrow)} of {MemoryReport.Size(native)}");
        return (double)narrow / native;
    });

    /// <summary>One stream of each in alternation, with both loaded; prompts have one picture, whose latents are cached.</summary>
    private static Figure Speed =>
        new("int8_over_native_tokens_per_second", "ratio",
            "tokens per second of one stream with int8 weights over native ones, in the run's dtype", async (bench, cancellation) =>
    {
        await using var int8 = await bench.LoadAsync(Storage("int8"), cancellation);
        await using var native = await bench.LoadAsync(Storage("native"), cancellation);
        Func<Task<double>> Rate(EmbeddedStack stack)
        {
            var prompt = stack.Prompts.New(shots: 0, bench.StreamTokens);
            return () => DecodingFigures.RateAsync(bench.Time, stack, [prompt], cancellation);
        }

        var (first, second) = (Rate(int8), Rate(native));
        await first();
        await second();
        return (await Interleaved.RunAsync(bench.Repetitions, first, second)).Ratio(rate => rate);
    });

    private static Figure[] ColdStart =>
    [
        new("cold_start", "s", "absolute: all stages loaded and the first token of a prompt with one picture, files in the page cache",
            async (bench, cancellation) => Median.Of((await StartsAsync(bench, cancellation)).Select(start => start.Seconds))),
        new("cold_start_memory_over_weights", "ratio",
            "peak growth of private memory during a cold start over the bytes of all weights as they are held; weights used in place are "
            + "the file's pages, not private",
            async (bench, cancellation) => Median.Of((await StartsAsync(bench, cancellation)).Select(start => start.Share))),
    ];

    private static Task<IReadOnlyList<(double Seconds, double Share)>> StartsAsync(Workbench bench,
        CancellationToken cancellation) => bench.OnceAsync("cold starts", async () =>
    {
        var starts = new List<(double, double)>();
        for (var round = 0; round < bench.Repetitions; round++)
        {
            using var memory = new PrivateMemory(bench.Time);
            var began = bench.Time.GetTimestamp();
            await using var stack = await bench.LoadAsync(new Dictionary<string, string?>(), cancellation);
            var loaded = bench.Time.GetElapsedTime(began);
            await stack.AskAsync(stack.Prompts.New(shots: 0, maxTokens: 1), cancellation);
            var (seconds, peak) = (bench.Time.GetElapsedTime(began).TotalSeconds, memory.PeakGrowth());
            var held = stack.WeightBytes();
            await bench.ReportAsync($"  loaded after {loaded.TotalSeconds:0.00} s, first token after {seconds:0.00} s; "
                + $"{MemoryReport.Size(peak)} private at most, weights are {MemoryReport.Size(held)}");
            starts.Add((seconds, (double)peak / held));
        }

        return (IReadOnlyList<(double, double)>)starts;
    });

    private static Dictionary<string, string?> Storage(string storage) => new() { ["Model:WeightStorage"] = storage };
}
