using Flamingo.Abstractions;
using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Engine;
using Flamingo.LanguageModel.Network;
using Flamingo.Modeling.Memory;
using Flamingo.Modeling.Weights;
using Flamingo.Stages;
using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Execution;

/// <summary>The memory that the stage will hold, computed before anything is loaded.</summary>
/// <param name="Weights">Size of the weights in the storage format in which they are held.</param>
public sealed record MemoryPlan(ModelMemory Memory, MemoryItem Weights, long KvCacheBytes, long PictureMemoryBytes)
{
    // A cached prompt still computes the tokens after its last full cached block. With 8 tokens per block these are at most 8
    // rows, which cost a bf16 product little more than one row.
    public const int BlockTokens = 8;

    /// <summary>The stage's part of the memory report of the process.</summary>
    public MemoryClaim MemoryClaim => new("language model",
    [
        Weights,
        new($"keys and values of {Memory.Blocks * (long)Memory.BlockTokens} tokens", KvCacheBytes, "lower LanguageModel:KvCacheBytes"),
        new($"{Memory.PictureSlots} pictures", PictureMemoryBytes, "lower LanguageModel:PictureMemoryBytes"),
    ]);

    /// <exception cref="CheckpointException">The memory options are too small for one block or one picture.</exception>
    public static MemoryPlan Make(
        ModelConfig config, SafetensorsFile weights, LanguageModelOptions options, ScalarType dtype, WeightStorage storage)
    {
        var (language, cross) = (config.Language, config.Language.CrossAttention);
        var block =
            BlockStore.BytesOf(language.Layers, language.KeyValueWidth / language.HeadWidth, BlockTokens, language.HeadWidth, dtype);
        var picture = BlockStore.BytesOf(cross.Layers.Count, cross.Heads, config.Resampler.Latents, cross.HeadWidth, dtype);
        var memory = new ModelMemory(
            (int)Math.Min(options.KvCacheBytes / block, 1 << 24), BlockTokens,
            (int)Math.Min(options.PictureMemoryBytes / picture, 1 << 24));
        if (memory.Blocks == 0 || memory.PictureSlots == 0)
            throw new CheckpointException($"One block of {BlockTokens} tokens takes {MemoryReport.Size(block)} and one picture "
                + $"{MemoryReport.Size(picture)}: raise LanguageModel:KvCacheBytes and LanguageModel:PictureMemoryBytes to hold at least "
                    + $"one of each.");
        return new MemoryPlan(memory, MemoryReport.Weights(weights, dtype, storage), memory.Blocks * block, memory.PictureSlots * picture);
    }
}
