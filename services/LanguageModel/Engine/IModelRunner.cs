using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine;

/// <summary>Turns a scheduled batch into logits: the Torch runner in the service, a scripted one in tests.</summary>
public interface IModelRunner
{
    ModelMemory Memory { get; }

    /// <summary>Projects pictures, copies blocks, then computes every chunk in one forward pass; one output per chunk, in order.</summary>
    Task<IReadOnlyList<StepOutput>> RunAsync(ScheduledBatch batch, CancellationToken cancellation);
}

/// <summary>Sizes of the memory that a runner manages.</summary>
/// <param name="Blocks">Blocks of self-attention keys and values.</param>
/// <param name="BlockTokens">Tokens of one block.</param>
/// <param name="PictureSlots">Pictures whose cross-attention keys and values are held at once.</param>
public sealed record ModelMemory(int Blocks, int BlockTokens, int PictureSlots);

/// <summary>One step of the model. A row's result depends on its own sequence alone, never on what else is in the batch.</summary>
public sealed record ScheduledBatch(
    IReadOnlyList<Projection> Projections, IReadOnlyList<BlockCopy> Copies, IReadOnlyList<ScheduledChunk> Chunks);

/// <summary>A picture whose cross-attention keys and values are to be computed into a slot, before anything reads the slot.</summary>
/// <param name="Latents">[latents, width]</param>
public readonly record struct Projection(int Slot, TensorData Latents);

/// <summary>Copies a block before its new owner writes into it.</summary>
public readonly record struct BlockCopy(int From, int To);

/// <summary>New tokens of one sequence, behind those whose keys and values its blocks hold already.</summary>
/// <param name="Ids">New token ids, at least one.</param>
/// <param name="Start">Position of the first of them.</param>
/// <param name="Blocks">The sequence's block table, long enough for all positions up to the last new one.</param>
/// <param name="Slots">Per new token: slot of the picture it sees, or −1.</param>
public sealed record ScheduledChunk(IReadOnlyList<int> Ids, int Start, IReadOnlyList<int> Blocks, IReadOnlyList<int> Slots)
{
    /// <summary>Logits of this many last rows are wanted.</summary>
    public int LogitRows { get; init; }

    /// <summary>
    /// Of the last row only the most likely id is wanted (<see cref="StepOutput.Best"/>), not its logits: the answer is greedy, and nothing
    /// else shapes it.
    /// </summary>
    public bool OnlyBest { get; init; }

    /// <summary>Per row the id whose log-likelihood is wanted; empty if none is.</summary>
    public IReadOnlyList<int> Targets { get; init; } = [];

    /// <summary>Cross-attention weights of the last row are wanted.</summary>
    public AttentionChoice? Attention { get; init; }
}

/// <param name="Logits">One [vocabulary] per row asked for, none where only the best is wanted; the receiver may change them.</param>
/// <param name="Scores">Natural log-likelihood of each target.</param>
/// <param name="Attention">[latents] of the last row, where asked for and where it sees a picture.</param>
public sealed record StepOutput(IReadOnlyList<float[]> Logits, IReadOnlyList<float> Scores, float[]? Attention)
{
    /// <summary>
    /// The id with the highest logit, the lowest of equals; −1 if a logit is not finite. Null where logits were wanted instead.
    /// </summary>
    public int? Best { get; init; }
}
