using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Engine;
using Flamingo.LanguageModel.Network;
using Flamingo.Modeling;
using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Execution;

/// <summary>What the stage will hold, known before anything is loaded.</summary>
/// <param name="WeightBytes">In the dtype they are computed in.</param>
public sealed record MemoryPlan(ModelMemory Memory, long WeightBytes, long KvCacheBytes, long PictureMemoryBytes)
{
    // A known prompt computes anew what stands behind its last full block: with 8, at most 8 rows, which cost a bf16 product little more than one.
    public const int BlockTokens = 8;

    public long Bytes => WeightBytes + KvCacheBytes + PictureMemoryBytes;

    /// <param name="available">Bytes that this process may use.</param>
    /// <exception cref="CheckpointException">It does not fit, with the sum and the remedy.</exception>
    public static MemoryPlan Make(ModelConfig config, SafetensorsFile weights, LanguageModelOptions options, ScalarType dtype, long available)
    {
        var (language, cross) = (config.Language, config.Language.CrossAttention);
        var block = BlockStore.BytesOf(language.Layers, language.KeyValueWidth / language.HeadWidth, BlockTokens, language.HeadWidth, dtype);
        var picture = BlockStore.BytesOf(cross.Layers.Count, cross.Heads, config.Resampler.Latents, cross.HeadWidth, dtype);
        var memory = new ModelMemory((int)Math.Min(options.KvCacheBytes / block, 1 << 24), BlockTokens, (int)Math.Min(options.PictureMemoryBytes / picture, 1 << 24));
        var elements = weights.Entries.Values.Sum(entry => entry.Shape.Aggregate(1L, (product, length) => product * length));
        var plan = new MemoryPlan(memory, elements * dtype.ElementBytes(), memory.Blocks * block, memory.PictureSlots * picture);
        if (memory.Blocks == 0 || memory.PictureSlots == 0)
            throw new CheckpointException($"One block of {BlockTokens} tokens takes {Size(block)} and one picture {Size(picture)}: raise LanguageModel:KvCacheBytes and LanguageModel:PictureMemoryBytes to hold at least one of each.");
        if (plan.Bytes > available)
            throw new CheckpointException($"The model does not fit: {plan} are {Size(plan.Bytes)}, this process may use {Size(available)}. Lower LanguageModel:KvCacheBytes or LanguageModel:PictureMemoryBytes, or set Model:Dtype to bfloat16.");
        return plan;
    }

    public override string ToString() =>
        $"weights {Size(WeightBytes)}, keys and values of {Memory.Blocks * (long)Memory.BlockTokens} tokens {Size(KvCacheBytes)}, {Memory.PictureSlots} pictures {Size(PictureMemoryBytes)}";

    private static string Size(long bytes) => bytes >= 1L << 30 ? $"{bytes / (double)(1L << 30):0.0} GiB" : $"{bytes / (double)(1L << 20):0.0} MiB";
}
