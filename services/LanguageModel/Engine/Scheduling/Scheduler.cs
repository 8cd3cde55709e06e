using Flamingo.LanguageModel.Engine.KvCache;

namespace Flamingo.LanguageModel.Engine.Scheduling;

/// <summary>Limits on the size of a step.</summary>
/// <param name="PrefillChunk">Most prompt tokens of a step that decodes no answer.</param>
/// <param name="PrefillChunkBesideDecoding">
/// Most prompt tokens of a step that also decodes answers. A larger number makes each answer wait longer for its next token.
/// </param>
public sealed record ScheduleLimits(int PrefillChunk, int PrefillChunkBesideDecoding);

/// <summary>
/// Decides what the next step computes: one token of every running answer, then prompts in the order of their admission, as many
/// tokens as the chunk allows. Blocks that another request has computed, or computes in this very step, are not computed again.
/// The scheduler changes nothing; <see cref="StepPlan.Apply"/> applies its plan.
/// </summary>
public sealed class Scheduler(PrefixCache prefixes, ModelMemory memory, ScheduleLimits limits)
{
    private readonly int _blockTokens = memory.BlockTokens;

    /// <param name="running">Admitted requests, oldest first. Paused requests are left out.</param>
    public StepPlan Schedule(IReadOnlyList<EngineRequest> running)
    {
        var (adoptions, chunks) = (new List<Adoption>(), new List<PlannedChunk>());
        var waiting = running.Where(request => !request.IsPaused).SelectMany(request => request.Sequences).Where(sequence => sequence.Uncomputed > 0).ToList();
        foreach (var sequence in waiting.Where(IsDecoding)) chunks.Add(new PlannedChunk(sequence, 1));

        var left = chunks.Count > 0 ? limits.PrefillChunkBesideDecoding : limits.PrefillChunk;
        var inThisStep = new HashSet<BlockHash>();
        foreach (var sequence in waiting.Where(sequence => !IsDecoding(sequence)))
        {
            if (left <= 0) break;
            var computed = sequence.Computed;
            if (IsPrompt(sequence))
            {
                var found = FindComputed(sequence);
                if (found.Count > 0) adoptions.Add(new Adoption(sequence, found));
                computed += found.Count * _blockTokens;
                // An earlier request computes the next block in this step, so this sequence waits and adopts that block in the next step.
                if (IsAtBorder(sequence.Request, computed, out var next) && inThisStep.Contains(sequence.Request.Chain[next])) continue;
            }

            var tokens = Tokens(sequence.Ids.Count, computed, left);
            if (IsPrompt(sequence)) inThisStep.UnionWith(FullBlocks(sequence.Request, computed, computed + tokens));
            chunks.Add(new PlannedChunk(sequence, tokens));
            left -= tokens;
        }

        return new StepPlan(adoptions, chunks);
    }

    /// <summary>
    /// Blocks of the prompt, from its beginning on, that the prefix cache holds. The last token is always computed again, because
    /// its logits are needed.
    /// </summary>
    public List<int> FindComputed(EngineRequest request) => FindComputed(request, firstBlock: 0);

    // Blocks that other requests have computed since this request was admitted; none while the sequence is in the middle of a block.
    private List<int> FindComputed(Sequence sequence) =>
        IsAtBorder(sequence.Request, sequence.Computed, out var block) ? FindComputed(sequence.Request, block) : [];

    private List<int> FindComputed(EngineRequest request, int firstBlock) =>
        prefixes.FindRun(request.Chain, firstBlock, Adoptable(request));

    private static bool IsPrompt(Sequence sequence) =>
        sequence == sequence.Request.Root && sequence.Computed < sequence.Request.Prompt.Ids.Count;

    private static bool IsDecoding(Sequence sequence) =>
        sequence.Uncomputed == 1 && sequence.Targets.Count == 0 && sequence.Computed >= sequence.Request.Prompt.Ids.Count;

    private int Adoptable(EngineRequest request) => (request.Prompt.Ids.Count - 1) / _blockTokens;

    private bool IsAtBorder(EngineRequest request, int computed, out int block)
    {
        block = computed / _blockTokens;
        return computed % _blockTokens == 0 && block < Adoptable(request);
    }

    /// <returns>
    /// Hashes of the blocks that will be full once the tokens from <paramref name="computed"/> to <paramref name="end"/> are computed.
    /// </returns>
    private IEnumerable<BlockHash> FullBlocks(EngineRequest request, int computed, int end)
    {
        for (var block = computed / _blockTokens; (block + 1) * _blockTokens <= end; block++) yield return request.Chain[block];
    }

    // A chunk that does not reach the end of the prompt stops at a block boundary, so that the block can be published.
    private int Tokens(int length, int computed, int left)
    {
        if (length - computed <= left) return length - computed;
        var end = (computed + left) / _blockTokens * _blockTokens;
        return end > computed ? end - computed : Math.Min(left, length - computed);
    }
}
