using Flamingo.Checkpoints;
using Flamingo.Modeling.Memory;
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
/// <param name="Inner">Inner values that gradients need.</param>
/// <param name="Logits">Logits and their gradients.</param>
/// <param name="Learnt">Number of trained weights.</param>
public sealed record TrainingMemory(long Frozen, long Trained, long Inner, long Logits, long Learnt)
{
    // Values per token and layer that the gradient keeps, in widths: measured on the shapes model and at the 3B geometry.
    private const int PerLayer = 34, OneLayer = 2;

    public long Bytes => Frozen + Trained + Inner + Logits;

    public static TrainingMemory Of(ModelDirectory model, TrainingOptions options, ScalarType dtype)
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
        return new TrainingMemory(frozen, learnt * ((4 * sizeof(float)) + size), whole,
            tokens * language.VocabularySize * 3 * sizeof(float), learnt);
    }

    public override string ToString() =>
        $"frozen weights {MemoryReport.Size(Frozen)}, trained weights with gradients and moments {MemoryReport.Size(Trained)}, inner "
        + $"values of a batch {MemoryReport.Size(Inner)}, logits {MemoryReport.Size(Logits)}; together {MemoryReport.Size(Bytes)}";
}
