using Flamingo.Abstractions;
using Flamingo.Bench.Machine;
using Flamingo.Bench.Measuring;
using Flamingo.Bench.Stacks;
using Flamingo.Stages;

namespace Flamingo.Bench.Figures;

/// <summary>Tokens per second after the first token. Prompts have one picture, whose latents are cached.</summary>
public static class DecodingFigures
{
    private const int Streams = 16;

    public static IEnumerable<Figure> All => [.. Throughput, .. Bandwidth];

    /// <summary>
    /// Measures one stream and sixteen concurrent streams in alternation. A rate counts all tokens except the first one, from the first
    /// token of any stream to the end of the last stream.
    /// </summary>
    private static Figure[] Throughput =>
    [
        new("throughput_16_over_1", "ratio", "tokens per second of 16 concurrent streams over one stream",
            async (bench, cancellation) => (await ThroughputAsync(bench, cancellation)).Ratio(rate => rate)),
        new("throughput_16_streams", "tokens/s", "absolute: all 16 streams together",
            async (bench, cancellation) => (await ThroughputAsync(bench, cancellation)).FirstMedian(rate => rate)),
        new("throughput_1_stream", "tokens/s", "absolute: one stream",
            async (bench, cancellation) => (await ThroughputAsync(bench, cancellation)).SecondMedian(rate => rate)),
    ];

    /// <summary>
    /// Measures one stream in alternation with the memory's read bandwidth. The share is the bytes of weights that decoding must read per
    /// second over the best bandwidth. The bytes are those of the weights file, not of the weights in memory.
    /// </summary>
    private static Figure[] Bandwidth =>
    [
        new("decode_bandwidth_share", "share",
            "bytes of weights (as in the file) read per second by one decoding stream over this machine's read bandwidth",
            async (bench, cancellation) =>
        {
            var (bytes, pairs) = await DecodingAsync(bench, cancellation);
            return bytes * pairs.FirstMedian(rate => rate) / 1e9 / pairs.Second.Max();
        }),
    ];

    private static Task<Paired<double>> ThroughputAsync(Workbench bench,
        CancellationToken cancellation) => bench.OnceAsync("throughput", async () =>
    {
        var stack = await bench.EmbeddedAsync(cancellation);
        var prompts = Enumerable.Range(0, Streams).Select(_ => stack.Prompts.New(shots: 0, bench.StreamTokens)).ToArray();
        foreach (var prompt in prompts)
            await stack.AskAsync(prompt with { Sampling = prompt.Sampling with { MaxTokens = 1 } }, cancellation);
        return await Interleaved.RunAsync(bench.Repetitions, () => RateAsync(bench.Time, stack, prompts, cancellation),
            () => RateAsync(bench.Time, stack, prompts[..1], cancellation));
    });

    private static Task<(double Bytes, Paired<double> Pairs)> DecodingAsync(Workbench bench,
        CancellationToken cancellation) => bench.OnceAsync("decoding", async () =>
    {
        var stack = await bench.EmbeddedAsync(cancellation);
        var prompt = stack.Prompts.New(shots: 0, bench.StreamTokens);
        await stack.AskAsync(prompt with { Sampling = prompt.Sampling with { MaxTokens = 1 } }, cancellation);
        var memory = new ReadBandwidth(bench.Threads);
        var pairs = await Interleaved.RunAsync(bench.Repetitions, () => RateAsync(bench.Time, stack, [prompt], cancellation),
            () => Task.Run(() => memory.Measure(bench.Time), cancellation));
        return ((double)ModelWork.DecodedTokenBytes(stack.Directory), pairs);
    });

    /// <summary>Tokens per second of concurrent prompts, for all tokens except the first one, from the first token to the last.</summary>
    public static async Task<double> RateAsync(
        TimeProvider time, EmbeddedStack stack, IReadOnlyList<FlamingoRequest> prompts, CancellationToken cancellation)
    {
        var answers = await Task.WhenAll(prompts.Select(prompt => Task.Run(() => stack.AskAsync(prompt, cancellation), cancellation)));
        var elapsed = time.GetElapsedTime(answers.Min(answer => answer.FirstTokenAt), answers.Max(answer => answer.EndAt));
        return (answers.Sum(answer => answer.Tokens) - 1) / elapsed.TotalSeconds;
    }
}
