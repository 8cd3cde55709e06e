using Flamingo.Checkpoints;
using Flamingo.Modeling.Memory;
using Flamingo.Training.Data;
using Flamingo.Training.Loop;
using Flamingo.Training.Network;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.Training;

/// <summary>Memory that a run needs, computed from headers and options before anything is read.</summary>
/// <param name="Frozen">Frozen weights of encoder and language model.</param>
/// <param name="Trained">
/// Trained weights in f32, their copies in the dtype of the computation, gradients and the two moments of AdamW.
/// </param>
/// <param name="Inner">Inner values that gradients need, attention scores among them.</param>
/// <param name="Logits">Logits and their gradients.</param>
/// <param name="Data">Shuffled samples, decoded pictures, and features that are kept, at most.</param>
/// <param name="Program">This program with its libraries, and temporary values.</param>
/// <param name="Learnt">Number of trained weights.</param>
public sealed record TrainingMemory(long Frozen, long Trained, long Inner, long Logits, long Data, long Program, long Learnt)
{
    // Values per token and layer that the gradient keeps, in widths: measured on the shapes model and at the 3B geometry.
    private const int PerLayer = 34, OneLayer = 2;

    // Scores of a token are kept twice, before and after the softmax, for a usual sequence and its pictures.
    private const int ScoreCopies = 2, UsualTokens = 256, UsualPictures = 3;

    // Libraries of torch and .NET take some 300 MiB; the rest is for temporary values, which come back to no pool.
    private const long ProgramBytes = 512L << 20;

    public long Bytes => Frozen + Trained + Inner + Logits + Data + Program;

    /// <param name="streams">Streams of data, each of which shuffles its samples.</param>
    public static TrainingMemory Of(
        ModelDirectory model, TrainingOptions options, ScalarType dtype, int streams = 1, DataOptions? data = null)
    {
        var (language, size) = (model.Config.Language, dtype.ElementSize());
        long frozen = 0, learnt = 2L * language.Width; // two rows of the token embedding
        foreach (var part in new[] { "vision", "resampler", "language" })
        {
            using var file = model.OpenWeights(part);
            foreach (var entry in file.Entries.Values)
            {
                var count = entry.Shape.Aggregate(1L, (product, length) => product * length);
                if (part == "resampler" || BridgeWeights.IsGated(entry.Name)) learnt += count;
                else frozen += count * size;
            }
        }

        long tokens = options.BatchTokens;
        var whole = tokens * language.Width * size * (options.Recomputes
            ? (OneLayer * language.Layers) + PerLayer : (long)PerLayer * language.Layers);
        var attended = Math.Min(tokens, UsualTokens) * language.Heads
            + (UsualPictures * model.Config.Resampler.Latents * language.CrossAttention.Heads);
        var scores = tokens * attended * size * ScoreCopies * (options.Recomputes ? 1 : language.Layers);
        // A text teacher reads every sequence a second time, without keeping inner values.
        var twins = options.TeacherWeight > 0 ? tokens * language.Width * size * PerLayer : 0;
        var kept = (streams * (data ?? new DataOptions()).ShuffleBytes) + FeatureOptions.LeastMemoryBytes;
        return new TrainingMemory(frozen, learnt * ((4 * sizeof(float)) + size), whole + scores + twins,
            tokens * language.VocabularySize * 3 * sizeof(float), kept, ProgramBytes, learnt);
    }

    public override string ToString() =>
        $"frozen weights {MemoryReport.Size(Frozen)}, trained weights with gradients and moments {MemoryReport.Size(Trained)}, inner "
        + $"values of a batch {MemoryReport.Size(Inner)}, logits {MemoryReport.Size(Logits)}, data at most {MemoryReport.Size(Data)}, the program {MemoryReport.Size(Program)}; together {MemoryReport.Size(Bytes)}";
}
