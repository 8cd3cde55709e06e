using Flamingo.Bench.Machine;
using Flamingo.Bench.Measuring;
using Flamingo.Checkpoints;
using Flamingo.Training;
using Flamingo.Training.Loop;
using Flamingo.Training.Network;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.Bench.Figures;

/// <summary>
/// A step of <c>flamingo train</c>: frozen weights and the computation in bf16, trained weights in f32. Of a small model a batch of 3072
/// tokens; of a published geometry one sequence of 256 tokens with three pictures, whose inner values are computed again.
/// </summary>
public static class TrainingFigures
{
    private const int SmallSequences = 48, SmallLength = 64, Length = 256, Pictures = 3;

    public static IEnumerable<Figure> All =>
    [
        new("training_step_gemm_share", "share", "FLOP/s of a training step, without what is computed again, over this machine's bf16 GEMM peak",
            async (bench, cancellation) =>
            {
                var (operations, _, pairs) = await StepsAsync(bench, cancellation);
                return operations / pairs.FirstMedian(seconds => seconds) / 1e9 / pairs.Second.Max();
            }),
        new("training_step", "ms", "absolute: one training step",
            async (bench, cancellation) => 1000 * (await StepsAsync(bench, cancellation)).Pairs.FirstMedian(seconds => seconds)),
        new("training_memory", "MiB", "absolute: the process's private memory at most during the steps",
            async (bench, cancellation) => (await StepsAsync(bench, cancellation)).Memory / (double)(1 << 20)),
    ];

    private static Task<(double Operations, long Memory, Paired<double> Pairs)> StepsAsync(
        Workbench bench, CancellationToken cancellation) => bench.OnceAsync("training", async () =>
    {
        await bench.UnloadAsync();
        var model = bench.Model(cancellation);
        var options = new TrainingOptions
        {
            Steps = 1, BatchTokens = bench.IsSmall ? SmallSequences * SmallLength : Length, Recomputes = !bench.IsSmall,
        };
        await bench.ReportAsync($"a training step of {model.Config.ModelId}: {TrainingMemory.Of(model, options, ScalarType.BFloat16)}");
        set_num_threads(bench.Threads);
        using var memory = new PrivateMemory(bench.Time);
        using var weights = new BridgeWeights(model, ScalarType.BFloat16);
        using var trainer = new BridgeTrainer(model.Config, weights, options.Optimizer, options.Recomputes);
        var batch = Batch(model.Config, bench.IsSmall ? SmallSequences : 1, bench.IsSmall ? SmallLength : Length);
        using var features = randn(
            [batch.Pictures.Sum(of => of.Length), ModelWork.Patches(model.Config.Vision), model.Config.Vision.Width], ScalarType.BFloat16);
        using var peak = new MatrixPeak(bench.Threads);
        Step();
        var pairs = await Interleaved.RunAsync(Math.Min(3, bench.Repetitions), () => Task.Run(Step, cancellation),
            () => peak.MeasureAsync(bench.Time, cancellation));
        var work = TrainingWork.Of(model);
        var operations = (work.PerToken * batch.Ids.Length * batch.Length) + (work.PerPicture * batch.Pictures.Sum(of => of.Length));
        return (operations, memory.Peak(), pairs);

        double Step()
        {
            var started = bench.Time.GetTimestamp();
            trainer.Backward(features, batch, 1);
            trainer.Clip(1);
            trainer.Step(1e-6);
            return bench.Time.GetElapsedTime(started).TotalSeconds;
        }
    });

    // Sequences of any words with pictures at the beginning; every other token counts in the loss.
    private static TrainingBatch Batch(ModelConfig config, int sequences, int length)
    {
        var (random, image) = (new Random(1), config.Tokens.Image.Id);
        int[][] ids = [.. Enumerable.Range(0, sequences).Select(_ => Enumerable.Range(0, length)
            .Select(place => place < Pictures ? image : random.Next(1, Math.Min(256, config.Language.VocabularySize))).ToArray())];
        return new TrainingBatch(ids,
            [.. ids.Select(sequence => sequence.Index().Select(one => one.Index % 2 == 0 ? TrainingBatch.Ignored : one.Item).ToArray())],
            [.. Enumerable.Range(0, sequences).Select(sequence => Enumerable.Range(sequence * Pictures, Pictures).ToArray())]);
    }
}
