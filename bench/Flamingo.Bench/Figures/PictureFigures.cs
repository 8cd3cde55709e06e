using Flamingo.Abstractions;
using Flamingo.Bench.Machine;
using Flamingo.Bench.Measuring;
using Flamingo.Stages;

namespace Flamingo.Bench.Figures;

/// <summary>The cost of a picture before the language model starts.</summary>
public static class PictureFigures
{
    private const int Batch = 9; // the pictures of an 8-shot prompt

    public static IEnumerable<Figure> All => [HitOverEncode, .. ColdEncoding];

    /// <summary>
    /// The time of two Encode calls for one picture, from the call to the answer: the first one encodes it, the second one hits the memory
    /// tier.
    /// </summary>
    private static Figure HitOverEncode =>
        new("hit_over_encode", "ratio", "one picture from memory over the same picture encoded", async (bench, cancellation) =>
    {
        var stack = await bench.EmbeddedAsync(cancellation);
        var picture = stack.Pictures.Next();
        async Task<double> ResolveAsync(PictureSource expected)
        {
            var started = bench.Time.GetTimestamp();
            var encoding = await stack.Flamingo.EncodeAsync(new FlamingoEncodeRequest([new FlamingoPicture(picture)]), cancellation);
            var elapsed = bench.Time.GetElapsedTime(started).TotalMilliseconds;
            return encoding.Pictures[0].Source == expected ? elapsed
                : throw new InvalidOperationException($"The picture was {encoding.Pictures[0].Source} where {expected} was to be timed.");
        }

        var pairs = await Interleaved.RunAsync(
            bench.Repetitions,
            () => ResolveAsync(PictureSource.Encoded),
            async () =>
            {
                var hit = await ResolveAsync(PictureSource.Memory);
                picture = stack.Pictures.Next();
                return hit;
            });
        return 1 / pairs.Ratio(milliseconds => milliseconds);
    });

    /// <summary>
    /// Encodes nine new pictures, including decoding and preprocessing (the time that the stage reports), in alternation with bf16 matrix
    /// products. The figure is the floating-point operations of the vision tower per second over those of the best product.
    /// </summary>
    private static Figure[] ColdEncoding =>
    [
        new("cold_encode_gemm_share", "share",
            "vision tower's FLOP/s over this machine's bf16 GEMM peak, whatever dtype the tower computes in", async (bench, cancellation) =>
        {
            var (work, pairs) = await ColdEncodingAsync(bench, cancellation);
            return work * Batch / (pairs.FirstMedian(value => value) * 1e6) / pairs.Second.Max();
        }),
        new("encode_picture", "ms", $"absolute: one of {Batch} new pictures in a batch",
            async (bench, cancellation) => (await ColdEncodingAsync(bench, cancellation)).Pairs.FirstMedian(value => value) / Batch),
    ];

    private static Task<(double Work, Paired<double> Pairs)> ColdEncodingAsync(Workbench bench,
        CancellationToken cancellation) => bench.OnceAsync("cold encoding", async () =>
    {
        var stack = await bench.EmbeddedAsync(cancellation);
        using var peak = new MatrixPeak(bench.Threads);
        var pairs = await Interleaved.RunAsync(
            bench.Repetitions,
            async () =>
                (await stack.Flamingo.EncodeAsync(
                    new FlamingoEncodeRequest([.. Enumerable.Range(0, Batch).Select(_ => new FlamingoPicture(stack.Pictures.Next()))]),
                    cancellation)).Timings.Vision.TotalMilliseconds,
            () => peak.MeasureAsync(bench.Time, cancellation));
        return (ModelWork.VisionOperations(stack.Directory.Config.Vision), pairs);
    });
}
