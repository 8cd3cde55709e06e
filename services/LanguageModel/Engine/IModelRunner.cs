using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine;

/// <summary>Computes the logits of a scheduled batch. The service uses a runner based on Torch; tests use a scripted one.</summary>
public interface IModelRunner
{
    ModelMemory Memory { get; }

    /// <summary>Projects pictures, copies blocks, then computes every chunk in one forward pass; one output per chunk, in order.</summary>
    Task<IReadOnlyList<StepOutput>> RunAsync(ScheduledBatch batch, CancellationToken cancellation);
}

/// <summary>Sizes of the memory that a runner holds.</summary>
/// <param name="Blocks">Number of blocks of self-attention keys and values.</param>
/// <param name="BlockTokens">Number of tokens per block.</param>
/// <param name="PictureSlots">Number of pictures whose cross-attention keys and values can be held at once.</param>
public sealed record ModelMemory(int Blocks, int BlockTokens, int PictureSlots);

/// <summary>One step of the model. The result of a row depends only on its own sequence, never on the other rows of the batch.</summary>
public sealed record ScheduledBatch(
    IReadOnlyList<Projection> Projections, IReadOnlyList<BlockCopy> Copies, IReadOnlyList<ScheduledChunk> Chunks);

/// <summary>A picture whose cross-attention keys and values are to be computed into a slot, before anything reads the slot.</summary>
/// <param name="Latents">[latents, width]</param>
public readonly record struct Projection(int Slot, TensorData Latents);

/// <summary>A block to copy before its new owner writes into the copy.</summary>
public readonly record struct BlockCopy(int From, int To);

/// <summary>New tokens of one sequence. They follow the tokens whose keys and values its blocks already hold.</summary>
/// <param name="Ids">New token ids, at least one.</param>
/// <param name="Start">Position of the first new token in the sequence.</param>
/// <param name="Blocks">The sequence's block table, long enough for all positions up to the last new one.</param>
/// <param name="Slots">Slot of the picture that each new token attends to, or −1 for none.</param>
public sealed record ScheduledChunk(IReadOnlyList<int> Ids, int Start, IReadOnlyList<int> Blocks, IReadOnlyList<int> Slots)
{
    /// <summary>Number of last rows whose logits are to be returned.</summary>
    public int LogitRows { get; init; }

    /// <summary>
    /// Whether only the most likely id of the last row is to be returned (<see cref="StepOutput.Best"/>) and not its logits. This
    /// is so for greedy answers without log-probabilities whose sampling parameters cannot change the choice.
    /// </summary>
    public bool OnlyBest { get; init; }

    /// <summary>For each row, the id whose log-likelihood is to be returned; empty if no log-likelihoods are requested.</summary>
    public IReadOnlyList<int> Targets { get; init; } = [];

    /// <summary>Which cross-attention weights of the last row are to be returned; null for none.</summary>
    public AttentionChoice? Attention { get; init; }
}

/// <summary>Result of one chunk.</summary>
/// <param name="Logits">One [vocabulary] for each requested row, empty if only the most likely id was requested. The receiver may
/// change them.</param>
/// <param name="Scores">Natural log-likelihood of each target of the chunk.</param>
/// <param name="Attention">Weights [latents] of the last row; null if they were not requested or the row attends to no picture.</param>
public sealed record StepOutput(IReadOnlyList<float[]> Logits, IReadOnlyList<float> Scores, float[]? Attention)
{
    /// <summary>
    /// The id with the highest logit, the lowest id if several are equal; −1 if a logit is not finite; null if logits were
    /// requested instead.
    /// </summary>
    public int? Best { get; init; }
}
