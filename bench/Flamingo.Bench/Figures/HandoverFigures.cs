using Flamingo.Abstractions;
using Flamingo.Bench.Measuring;
using Flamingo.Bench.Stacks;
using Flamingo.Stages;

namespace Flamingo.Bench.Figures;

/// <summary>
/// Measures whether it would pay if the vision encoder sent features to the resampler directly, for nine new pictures.
/// </summary>
public static class HandoverFigures
{
    private const int Batch = 9; // the pictures of an 8-shot prompt

    public static IEnumerable<Figure> All =>
    [
        new("direct_over_relayed_features",
            "ratio", $"{Batch} new pictures to latents over loopback gRPC: features from vision encoder to resampler over features "
                + "through the gateway", async (bench, cancellation) =>
        {
            var embedded = await bench.EmbeddedAsync(cancellation);
            await using var stack = await HandoverStack.StartAsync(embedded, bench.Time, cancellation);
            async Task<double> TimeAsync(Func<VisionEncodeRequest, CancellationToken, Task<IReadOnlyList<TensorData>>> ask)
            {
                var request = new VisionEncodeRequest(
                    [.. Enumerable.Range(0, Batch).Select(_ => VisualInput.Still(embedded.Pictures.Next()))]);
                var started = bench.Time.GetTimestamp();
                var latents = await ask(request, cancellation);
                return latents.Count == Batch && latents[0].Shape[0] == embedded.Model.Resampler.Latents
                    ? bench.Time.GetElapsedTime(started).TotalMilliseconds
                    : throw new InvalidOperationException("No latents came back.");
            }

            // connects, and compiles the code
            for (var round = 0; round < 3; round++)
                (_, _) = (await TimeAsync(stack.DirectlyAsync), await TimeAsync(stack.ThroughHereAsync));
            return (await Interleaved.RunAsync(bench.Repetitions, () => TimeAsync(stack.DirectlyAsync),
                () => TimeAsync(stack.ThroughHereAsync))).Ratio(milliseconds => milliseconds);
        }),
    ];
}
