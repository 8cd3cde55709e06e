using Flamingo.Abstractions;
using Flamingo.Bench;
using Flamingo.Bench.Figures;
using Flamingo.Bench.Machine;
using Flamingo.Bench.Measuring;
using Flamingo.Bench.Stacks;
using Flamingo.Bench.Synthesis;
using Flamingo.Checkpoints;
using Flamingo.Modeling.Runtime;
using Flamingo.Stages;
using static TorchSharp.torch;

namespace Flamingo.GpuCheck;

/// <summary>
/// Measures the speed in bf16 and, in the same run, the speed of the device itself: a memory copy and one large matrix product.
/// </summary>
internal static class SpeedCheck
{
    private const int Repetitions = 3, StreamTokens = 64, Streams = 16, Shots = 8;

    /// <param name="geometry">Random weights of these sizes; null measures the trained model.</param>
    public static async Task RunAsync(
        string device, string? geometry, ModelDirectory shapes, Dictionary<string, string?> settings, Report report, TimeProvider time,
        CancellationToken cancellation)
    {
        var folder = Directory.CreateTempSubdirectory("flamingo-gpu-check-").FullName;
        try
        {
            var model = geometry is null
                ? shapes
                : SyntheticModel.OpenOrWrite(
                    Geometry.All.Single(known => known.Name == geometry), shapes, Path.Combine(folder, geometry), 1, Console.Error,
                    cancellation);
            var endless = EndlessModel.Create(model, Path.Combine(folder, "endless"));
            var name = geometry ?? "shapes";
            await report.PartAsync($"speed of {name} on {device}", () => MeasureAsync(
                $"{name}, all stages on {device}", endless, device,
                Check.With(settings, [("Model:Dtype", "bfloat16")]), report, time, cancellation), cancellation);
            if (device == "cpu") return;
            foreach (var stage in new[] { "LanguageModel", "VisionEncoder" })
            {
                await report.PartAsync($"speed of {name} with the {stage} alone on {device}", () => MeasureAsync(
                    $"{name}, {stage} on {device}, the others on the cpu", endless, null,
                    Check.With(settings, [("Model:Dtype", "bfloat16"), ("Model:Device", "cpu"), ($"{stage}:Device", device)]),
                    report, time, cancellation), cancellation);
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <param name="shareOf">
    /// The device whose own speed is measured too, as the reference of shares; null reports only times and rates.
    /// </param>
    private static async Task MeasureAsync(
        string where, ModelDirectory model, string? shareOf, Dictionary<string, string?> settings, Report report, TimeProvider time,
        CancellationToken cancellation)
    {
        var started = time.GetTimestamp();
        await using var stack = await EmbeddedStack.LoadAsync(
            model,
            new BenchRequest([], null, model.Path, Environment.ProcessorCount, 1, Repetitions) { Settings = settings },
            time, cancellation);
        report.Add(new CheckLine(
            "load", time.GetElapsedTime(started).TotalSeconds, "s",
            $"absolute: model directory to stages that are ready; {where}"));
        for (var round = 0; round < 3; round++) await stack.AskAsync(stack.Prompts.New(shots: 1, maxTokens: 8), cancellation);

        var prompt = stack.Prompts.New(Shots, maxTokens: 1);
        var first = await Interleaved.RunAsync(
            Repetitions,
            () => stack.AskAsync(prompt = stack.Prompts.New(Shots, maxTokens: 1), cancellation),
            () => stack.AskAsync(prompt, cancellation));
        report.Add(new CheckLine(
            "ttft_cold", first.FirstMedian(answer => answer.FirstToken), "ms",
            $"absolute: first token, {Shots} shots and a query, pictures new; {where}"));
        report.Add(new CheckLine(
            "ttft_warm", first.SecondMedian(answer => answer.FirstToken), "ms", $"absolute: the same prompt again; {where}"));
        report.Add(new CheckLine("ttft_cold_over_warm", first.Ratio(answer => answer.FirstToken), "ratio", $"cold over warm; {where}"));

        var prompts = Enumerable.Range(0, Streams).Select(_ => stack.Prompts.New(shots: 0, StreamTokens)).ToArray();
        foreach (var one in prompts) await stack.AskAsync(one with { Sampling = one.Sampling with { MaxTokens = 1 } }, cancellation);
        var rates = await Interleaved.RunAsync(
            Repetitions,
            () => DecodingFigures.RateAsync(time, stack, prompts, cancellation),
            () => DecodingFigures.RateAsync(time, stack, prompts[..1], cancellation));
        report.Add(new CheckLine(
            "tokens_per_second_1_stream", rates.SecondMedian(rate => rate), "tokens/s",
            $"absolute: one stream after its first token; {where}"));
        report.Add(new CheckLine(
            "tokens_per_second_16_streams", rates.FirstMedian(rate => rate), "tokens/s",
            $"absolute: {Streams} streams together; {where}"));
        report.Add(new CheckLine("throughput_16_over_1", rates.Ratio(rate => rate), "ratio", $"16 streams over one; {where}"));

        var batch = shareOf is null or "cpu" ? 9 : 64;
        var encode = new List<double>();
        for (var round = 0; round < Repetitions; round++)
        {
            var pictures = Enumerable.Range(0, batch).Select(_ => new FlamingoPicture(stack.Pictures.Next())).ToList();
            var encoded = await stack.Flamingo.EncodeAsync(new FlamingoEncodeRequest(pictures), cancellation);
            encode.Add(encoded.Timings.Vision.TotalMilliseconds / batch);
        }

        report.Add(new CheckLine(
            "encode_picture", Median.Of(encode), "ms",
            $"absolute: one of {batch} new pictures of a call, decoding included; {where}"));
        if (shareOf is null) return;
        var (bandwidth, peak) = await PeaksAsync(shareOf, time, cancellation);
        report.Add(new CheckLine(
            "device_copy_bandwidth", bandwidth / 1e9, "GB/s",
            "absolute: best copy of 2 GiB within the device, bytes read and written"));
        report.Add(new CheckLine(
            "device_bf16_peak", peak / 1e12, "TFLOP/s",
            "absolute: best bf16 product of 8192 square matrices (2048 on the cpu) of random values"));
        // A weight takes two bytes and costs one multiplication and one addition, so there are as many operations as bytes.
        double bytes = ModelWork.DecodedTokenBytes(model), operations = bytes;
        report.Add(new CheckLine(
            "decode_bandwidth_share", bytes * rates.SecondMedian(rate => rate) / bandwidth, "share",
            $"bytes of weights that one stream reads per second over the device's; {where}"));
        report.Add(new CheckLine(
            "decode_16_streams_bandwidth_share", bytes * rates.FirstMedian(rate => rate) / Streams / bandwidth, "share",
            $"bytes of weights that the steps of {Streams} streams read per second over the device's; {where}"));
        report.Add(new CheckLine(
            "decode_16_streams_peak_share", operations * rates.FirstMedian(rate => rate) / peak, "share",
            $"FLOP/s of linear layers of {Streams} streams over the device's bf16 peak; {where}"));
        report.Add(new CheckLine(
            "cold_encode_peak_share",
            ModelWork.VisionOperations(model.Config.Vision) / (Median.Of(encode) / 1e3) / peak, "share",
            $"vision tower's FLOP/s, decoding included, over the device's bf16 peak; {where}"));
    }

    // Returns bytes per second and FLOP per second.
    private static async Task<(double Bandwidth, double Peak)> PeaksAsync(string name, TimeProvider time, CancellationToken cancellation)
    {
        using var thread = new InferenceThread(Environment.ProcessorCount);
        return await thread.RunAsync(() =>
        {
            var (on, size) = (device(name), name == "cpu" ? 2048L : 8192L);
            var (from, to) = (ones(1L << 31, ScalarType.Byte, on), zeros(1L << 31, ScalarType.Byte, on));
            var bandwidth = 2.0 * (1L << 31) / Best(() => to.copy_(from));
            var (left, right) = (randn(size, size, ScalarType.BFloat16, on), randn(size, size, ScalarType.BFloat16, on));
            var product = zeros(size, size, ScalarType.BFloat16, on);
            return (bandwidth, 2.0 * size * size * size / Best(() => product.addmm_(left, right, beta: 0, alpha: 1)));

            double Best(Action action)
            {
                var best = double.PositiveInfinity;
                for (var pass = 0; pass < 8; pass++)
                {
                    Wait();
                    var started = time.GetTimestamp();
                    action();
                    Wait();
                    best = Math.Min(best, time.GetElapsedTime(started).TotalSeconds);
                }

                return best;
            }

            void Wait()
            {
                if (name != "cpu") cuda.synchronize(on);
            }
        }, cancellation);
    }
}
