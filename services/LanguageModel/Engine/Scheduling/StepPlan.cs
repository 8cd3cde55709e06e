using Flamingo.LanguageModel.Engine.KvCache;

namespace Flamingo.LanguageModel.Engine.Scheduling;

/// <summary>
/// What the scheduler has decided about one step, and nothing yet done about it. Planning reads the state of the engine and changes none
/// of it: a plan may be made twice, looked at, and thrown away.
/// </summary>
/// <param name="Adoptions">Computed blocks that sequences take over instead of computing them.</param>
/// <param name="Chunks">Whose tokens are computed, and how many of them; decoding first, then prompts in the order of admission.</param>
public sealed record StepPlan(IReadOnlyList<Adoption> Adoptions, IReadOnlyList<PlannedChunk> Chunks)
{
    /// <summary>
    /// Leases what the step needs, and returns the batch to run. All blocks that are adopted get their new owner before any block is
    /// taken: taking one may throw an ownerless block out of the cache, and that must not be one which the plan counts on.
    /// Call it once, before anything else has changed.
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

/// <param name="Blocks">Blocks of the prefix cache, in the order of the sequence, beginning behind what the sequence has computed.</param>
public readonly record struct Adoption(Sequence Sequence, IReadOnlyList<int> Blocks);

/// <param name="Tokens">Tokens to compute, beginning behind those that are computed or adopted; at least one.</param>
public readonly record struct PlannedChunk(Sequence Sequence, int Tokens);
