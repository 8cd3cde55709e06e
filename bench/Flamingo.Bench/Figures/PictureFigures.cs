using Flamingo.Abstractions;
using Flamingo.Bench.Machine;
using Flamingo.Bench.Measuring;
using Flamingo.Stages;

namespace Flamingo.Bench.Figures;

/// <summary>What a picture costs before the language model sees it.</summary>
public static class PictureFigures
{
    private const int Batch = 9; // the pictures of an 8-shot prompt

    public static IEnumerable<Figure> All => [HitOverEncode, .. ColdEncoding];

    /// <summary>Encode asked twice for one picture, from the call to the answer: by vision encoder and resampler, then from the memory tier.</summary>
    private static Figure HitOverEncode => new("hit_over_encode", "ratio", "one picture from memory over the same picture encoded", async (bench, cancellation) =>
    {
        var stack = await bench.EmbeddedAsync(cancellation);
        var picture = stack.Pictures.Next();
        async Task<double> ResolveAsync(PictureSource expected)
        {
            var started = bench.Time.GetTimestamp();
            var encoding = await stack.Flamingo.EncodeAsync(new FlamingoEncodeRequest([new FlamingoPicture(picture)]), cancellation);
            var elapsed = bench.Time.GetElapsedTime(started).TotalMilliseconds;
            return encoding.Pictures[0].Source == expected ? elapsed : throw new InvalidOperationException($"The picture was {encoding.Pictures[0].Source} where {expected} was to be timed.");
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
    /// Nine new pictures through the vision encoder, decoding and preprocessing included (the stage's own time), in turn
    /// with bf16 matrix products: the floating-point operations of the tower per second, over the best product.
    /// </summary>
    private static Figure[] ColdEncoding =>
    [
        new("cold_encode_gemm_share", "share", "vision tower's FLOP/s over this machine's bf16 GEMM peak, whatever dtype the tower computes in", async (bench, cancellation) =>
        {
            var (work, pairs) = await ColdEncodingAsync(bench, cancellation);
            return work * Batch / (pairs.FirstMedian(value => value) * 1e6) / pairs.Second.Max();
        }),
        new("encode_picture", "ms", $"absolute: one of {Batch} new pictures in a batch", async (bench, cancellation) => (await ColdEncodingAsync(bench, cancellation)).Pairs.FirstMedian(value => value) / Batch),
    ];

    private static Task<(double Work, Paired<double> Pairs)> ColdEncodingAsync(Workbench bench, CancellationToken cancellation) => bench.OnceAsync("cold encoding", async () =>
    {
        var stack = await bench.EmbeddedAsync(cancellation);
        using var peak = new MatrixPeak(bench.Threads);
        var pairs = await Interleaved.RunAsync(
            bench.Repetitions,
            async () => (await stack.Flamingo.EncodeAsync(new FlamingoEncodeRequest([.. Enumerable.Range(0, Batch).Select(_ => new FlamingoPicture(stack.Pictures.Next()))]), cancellation)).Timings.Vision.TotalMilliseconds,
            () => peak.MeasureAsync(bench.Time, cancellation));
        return (ModelWork.VisionOperations(stack.Directory.Config.Vision), pairs);
    });
}
