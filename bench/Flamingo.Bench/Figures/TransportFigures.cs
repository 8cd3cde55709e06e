using Flamingo.Bench.Measuring;

namespace Flamingo.Bench.Figures;

/// <summary>
/// Sends the same prompts of 8 shots and 16 answer tokens to four hosts over loopback gRPC and to one process, in alternation. Cold
/// prompts have new pictures on both sides.
/// </summary>
public static class TransportFigures
{
    public static IEnumerable<Figure> All =>
    [
        new("distributed_over_embedded_ttft", "ratio", "first token through four hosts over loopback gRPC over embedded, warm",
            async (bench, cancellation) => (await WarmAsync(bench, cancellation)).Ratio(answer => answer.FirstToken)),
        new("distributed_over_embedded_total", "ratio",
            "whole answer of 16 tokens through four hosts over loopback gRPC over embedded, warm",
            async (bench, cancellation) => (await WarmAsync(bench, cancellation)).Ratio(answer => answer.Total)),
        new("distributed_over_embedded_ttft_cold", "ratio",
            "first token through four hosts over loopback gRPC over embedded, 9 new pictures",
            async (bench, cancellation) => (await ColdAsync(bench, cancellation)).Ratio(answer => answer.FirstToken)),
        new("distributed_over_embedded_total_cold", "ratio",
            "whole answer of 16 tokens through four hosts over loopback gRPC over embedded, 9 new pictures",
            async (bench, cancellation) => (await ColdAsync(bench, cancellation)).Ratio(answer => answer.Total)),
    ];

    private static Task<Paired<TimedAnswer>> WarmAsync(Workbench bench,
        CancellationToken cancellation) => bench.OnceAsync("distributed, warm", async () =>
    {
        var (distributed, embedded) = (await bench.DistributedAsync(cancellation), await bench.EmbeddedAsync(cancellation));
        var prompt = embedded.Prompts.New(shots: 8, maxTokens: 16);
        await distributed.AskAsync(prompt, cancellation);
        await embedded.AskAsync(prompt, cancellation);
        return await Interleaved.RunAsync(bench.Repetitions, () => distributed.AskAsync(prompt, cancellation),
            () => embedded.AskAsync(prompt, cancellation));
    });

    private static Task<Paired<TimedAnswer>> ColdAsync(Workbench bench,
        CancellationToken cancellation) => bench.OnceAsync("distributed, cold", async () =>
    {
        var (distributed, embedded) = (await bench.DistributedAsync(cancellation), await bench.EmbeddedAsync(cancellation));
        return await Interleaved.RunAsync(
            bench.Repetitions,
            () => distributed.AskAsync(embedded.Prompts.New(shots: 8, maxTokens: 16), cancellation),
            () => embedded.AskAsync(embedded.Prompts.New(shots: 8, maxTokens: 16), cancellation));
    });
}
