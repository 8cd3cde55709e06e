using Flamingo.LanguageModel.Engine.KvCache;

namespace Flamingo.LanguageModel.Engine.Scheduling;

/// <summary>
/// The scheduler's plan of one step. Planning reads the state of the engine and changes none of it, so a plan may be inspected
/// and discarded.
/// </summary>
/// <param name="Adoptions">Computed blocks that sequences share instead of computing them.</param>
/// <param name="Chunks">The sequences to compute and the number of tokens of each; decoding sequences first, then prompts in the
/// order of admission.</param>
public sealed record StepPlan(IReadOnlyList<Adoption> Adoptions, IReadOnlyList<PlannedChunk> Chunks)
{
    /// <summary>
    /// Leases what the step needs, and returns the batch to run. All adopted blocks get their new owner before any block is
    /// taken, because taking a block may evict a block without an owner, which the plan may need. Call it once, before the state
    /// of the engine changes.
    /// </summary>
    public ScheduledBatch Apply(int blockTokens)
    {
        foreach (var (sequence, blocks) in Adoptions) sequence.Adopt(blocks, blockTokens);

        var (chunks, copies) = (new List<ScheduledChunk>(Chunks.Count), new List<BlockCopy>());
        foreach (var (sequence, tokens) in Chunks)
        {
            sequence.MakeRoom(tokens, blockTokens, copies);
            chunks.Add(Chunk(sequence, tokens));
        }

        return new ScheduledBatch([], copies, chunks);
    }

    private static ScheduledChunk Chunk(Sequence sequence, int tokens)
    {
        var (request, start) = (sequence.Request, sequence.Computed);
        var last = tokens == sequence.Uncomputed;
        return new ScheduledChunk(
            sequence.Ids.GetRange(start, tokens), start, [.. sequence.Blocks], [.. Enumerable.Range(start, tokens).Select(sequence.SlotAt)])
        {
            LogitRows = last && sequence.Targets.Count == 0 ? 1 : 0,
            OnlyBest = last && sequence.Targets.Count == 0 && request.WantsOnlyBest,
            Targets = sequence.Targets.Count > 0 ? [.. sequence.Targets.Skip(start - request.Prompt.Ids.Count).Take(tokens)] : [],
            Attention = last ? request.Attention : null,
        };
    }
}

/// <summary>Computed blocks that a sequence shares.</summary>
/// <param name="Blocks">Blocks of the prefix cache, in the order of the sequence. The first follows the sequence's computed tokens.</param>
public readonly record struct Adoption(Sequence Sequence, IReadOnlyList<int> Blocks);

/// <summary>A part of a sequence to compute in one step.</summary>
/// <param name="Tokens">Number of tokens to compute after those that are computed or adopted; at least one.</param>
public readonly record struct PlannedChunk(Sequence Sequence, int Tokens);
