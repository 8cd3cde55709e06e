using Flamingo.LanguageModel.Engine.KvCache;

namespace Flamingo.LanguageModel.Engine.Scheduling;

/// <param name="PrefillChunk">Most prompt tokens of one step while nobody decodes.</param>
/// <param name="PrefillChunkBesideDecoding">The same while somebody does: what a stream waits for between two tokens.</param>
public sealed record ScheduleLimits(int PrefillChunk, int PrefillChunkBesideDecoding);

/// <summary>A batch, and whose chunks they are.</summary>
public sealed record ScheduledStep(ScheduledBatch Batch, IReadOnlyList<Sequence> Sequences);

/// <summary>
/// What the next step computes: one token of every running answer, then prompts in the order of their admission, as many
/// tokens as the chunk allows. Blocks that another request has computed, or computes in this very step, are not computed again.
/// </summary>
public sealed class Scheduler(PrefixIndex index, ModelMemory memory, ScheduleLimits limits)
{
    private readonly int _blockTokens = memory.BlockTokens;

    /// <param name="running">Admitted requests, oldest first.</param>
    public ScheduledStep Schedule(IReadOnlyList<EngineRequest> running)
    {
        var (chunks, sequences, copies) = (new List<ScheduledChunk>(), new List<Sequence>(), new List<BlockCopy>());
        var waiting = running.SelectMany(request => request.Sequences).Where(sequence => sequence.Uncomputed > 0).ToList();

        void Add(Sequence sequence, int tokens)
        {
            sequence.MakeRoom(tokens, _blockTokens, copies);
            chunks.Add(Chunk(sequence, tokens));
            sequences.Add(sequence);
        }

        foreach (var sequence in waiting.Where(IsDecoding)) Add(sequence, 1);

        var left = chunks.Count > 0 ? limits.PrefillChunkBesideDecoding : limits.PrefillChunk;
        var underway = new HashSet<BlockHash>();
        foreach (var sequence in waiting.Where(sequence => !IsDecoding(sequence)))
        {
            if (left <= 0) break;
            if (IsPrompt(sequence))
            {
                AdoptComputed(sequence);
                if (IsAtBorder(sequence, out var block) && underway.Contains(sequence.Request.Chain[block])) continue; // its keys and values are made in this step
            }

            var tokens = Tokens(sequence, left);
            for (var next = sequence.Computed / _blockTokens; IsPrompt(sequence) && (next + 1) * _blockTokens <= sequence.Computed + tokens; next++) underway.Add(sequence.Request.Chain[next]);
            Add(sequence, tokens);
            left -= tokens;
        }

        return new ScheduledStep(new ScheduledBatch([], copies, chunks), sequences);
    }

    /// <summary>Blocks of the prompt that are computed already; the last token is always computed anew, because its logits are wanted.</summary>
    public List<int> FindComputed(EngineRequest request)
    {
        var found = new List<int>();
        while (found.Count < Adoptable(request) && index.Find(request.Chain[found.Count]) is >= 0 and var block) found.Add(block);
        return found;
    }

    private static bool IsPrompt(Sequence sequence) => sequence == sequence.Request.Root && sequence.Computed < sequence.Request.Prompt.Ids.Count;

    private static bool IsDecoding(Sequence sequence) => sequence.Uncomputed == 1 && sequence.Targets.Count == 0 && sequence.Computed >= sequence.Request.Prompt.Ids.Count;

    private int Adoptable(EngineRequest request) => (request.Prompt.Ids.Count - 1) / _blockTokens;

    private bool IsAtBorder(Sequence sequence, out int block)
    {
        block = sequence.Computed / _blockTokens;
        return sequence.Computed % _blockTokens == 0 && block < Adoptable(sequence.Request);
    }

    // what neighbours have computed since this request was admitted
    private void AdoptComputed(Sequence sequence)
    {
        var request = sequence.Request;
        while (IsAtBorder(sequence, out var block) && index.Find(request.Chain[block]) is >= 0 and var computed)
        {
            request.Lease!.Adopt(computed);
            sequence.Append(computed, _blockTokens);
            request.CachedTokens += _blockTokens;
        }
    }

    // a chunk that does not reach the end stops at a block's border, so that the block can be published
    private int Tokens(Sequence sequence, int left)
    {
        if (sequence.Uncomputed <= left) return sequence.Uncomputed;
        var end = (sequence.Computed + left) / _blockTokens * _blockTokens;
        return end > sequence.Computed ? end - sequence.Computed : Math.Min(left, sequence.Uncomputed);
    }

    private static ScheduledChunk Chunk(Sequence sequence, int tokens)
    {
        var (request, start) = (sequence.Request, sequence.Computed);
        var last = tokens == sequence.Uncomputed;
        return new ScheduledChunk(
            sequence.Ids.GetRange(start, tokens), start, [.. sequence.Blocks], [.. Enumerable.Range(start, tokens).Select(request.SlotAt)])
        {
            LogitRows = last && sequence.Targets.Count == 0 ? 1 : 0,
            OnlyBest = last && sequence.Targets.Count == 0 && request.WantsOnlyBest,
            Targets = sequence.Targets.Count > 0 ? [.. sequence.Targets.Skip(start - request.Prompt.Ids.Count).Take(tokens)] : [],
            Attention = last ? request.Attention : null,
        };
    }
}
