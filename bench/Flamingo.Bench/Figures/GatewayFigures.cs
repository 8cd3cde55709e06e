using Flamingo.Abstractions;
using Flamingo.Bench.Measuring;
using Flamingo.Bench.Stacks;
using Flamingo.Stages;
using Microsoft.Extensions.DependencyInjection;

namespace Flamingo.Bench.Figures;

/// <summary>
/// The gateway's cost of a request with 8 shots, cached latents and 8 answer tokens: admission, checks, SHA-256 of nine pictures,
/// the cache, and the relay of the stream. It is measured with stages that answer immediately, in alternation with the same request
/// to the real stages.
/// </summary>
public static class GatewayFigures
{
    public static IEnumerable<Figure> All =>
    [
        new("gateway_cost_share", "share",
            "a request over instant stages over the same request over the real ones, warm, 8 shots, 8 tokens",
            async (bench, cancellation) => (await InstantAndRealAsync(bench, cancellation)).Ratio(Total)),
        new("gateway_cost", "us", "absolute: a request over instant stages, warm, 8 shots, 8 tokens",
            async (bench, cancellation) => (await InstantAndRealAsync(bench, cancellation)).FirstMedian(Total) * 1000),
    ];

    private static double Total(TimedAnswer answer) => answer.Total;

    private static Task<Paired<TimedAnswer>> InstantAndRealAsync(Workbench bench,
        CancellationToken cancellation) => bench.OnceAsync("gateway", async () =>
    {
        var stack = await bench.EmbeddedAsync(cancellation);
        await using var instant = InstantStages.Build(stack.Model, bench.Time);
        var gateway = instant.GetRequiredService<IFlamingo>();
        var prompt = stack.Prompts.New(shots: 8, maxTokens: 8);
        await stack.AskAsync(prompt, cancellation);
        // until the JIT has optimized the code
        for (var round = 0; round < 200; round++) await TimedAnswer.AskAsync(gateway, prompt, bench.Time, cancellation);
        return await Interleaved.RunAsync(bench.Repetitions, () => TimedAnswer.AskAsync(gateway, prompt, bench.Time, cancellation),
            () => stack.AskAsync(prompt, cancellation));
    });
}
