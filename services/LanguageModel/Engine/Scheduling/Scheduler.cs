using Flamingo.LanguageModel.Engine.KvCache;
using Flamingo.LanguageModel.Engine.Pictures;

namespace Flamingo.LanguageModel.Engine.Scheduling;

/// <summary>Limits on the size of a step.</summary>
/// <param name="PrefillChunk">Most prompt tokens of a step that decodes no answer.</param>
/// <param name="PrefillChunkBesideDecoding">
/// Most prompt tokens of a step that also decodes answers. A larger number makes each answer wait longer for its next token.
/// </param>
public sealed record ScheduleLimits(int PrefillChunk, int PrefillChunkBesideDecoding);

/// <summary>
/// Decides what the next step computes: one token of every running answer, then tokens of prompts and of the candidates of rankings, as
/// many as the chunk allows. The chunk is dealt block by block: tenants take turns, and the requests of one tenant take turns too, so that
/// a long prompt or a large ranking makes nobody wait. Whoever was served the longest ago goes first, so that all come round where there
/// are more of them than blocks in a chunk. Blocks that another request has computed, or computes in this very step, are not computed
/// again. The scheduler changes nothing; <see cref="StepPlan.Apply"/> applies its plan.
/// </summary>
public sealed class Scheduler(PrefixCache prefixes, ModelMemory memory, ScheduleLimits limits)
{
    private readonly int _blockTokens = memory.BlockTokens;

    /// <summary>Whether the sequence continues an answer, so that it takes part in every step with one token.</summary>
    public static bool IsDecoding(Sequence sequence) =>
        sequence.Uncomputed == 1 && sequence.Targets.Count == 0 && sequence.Computed >= sequence.Request.Prompt.Ids.Count;

    /// <param name="running">Admitted requests, oldest first.</param>
    public StepPlan Schedule(IReadOnlyList<EngineRequest> running)
    {
        var decoding = running.SelectMany(request => request.Sequences).Where(IsDecoding).Select(sequence => new PlannedChunk(sequence, 1))
            .ToList();
        var (adoptions, claims, inThisStep) = (new List<Adoption>(), new List<Claim>(), new HashSet<BlockHash>());
        var tenants = InTurn(running);
        var chunk = decoding.Count > 0 ? limits.PrefillChunkBesideDecoding : limits.PrefillChunk;
        for (var left = chunk; left > 0 && tenants.TryDequeue(out var tenant);)
        {
            var request = tenant.Dequeue();
            var claim = request.Peek();
            if (!claim.HasBegun) Begin(claim);
            var tokens = Deal(claim);
            // A block that does not fit any more waits for the next step. Only a chunk that is smaller than a block divides one.
            if (tokens > left) tokens = left == chunk ? left : 0;
            left -= Give(claim, tokens);
            if (tokens == 0 || claim.IsServed) request.Dequeue();
            if (request.Count > 0) tenant.Enqueue(request);
            if (tenant.Count > 0) tenants.Enqueue(tenant);
        }

        return new StepPlan(adoptions, [.. decoding, .. claims.Where(claim => claim.Tokens > 0).Select(claim => claim.Planned)]);

        void Begin(Claim claim)
        {
            claim.HasBegun = true;
            claims.Add(claim);
            if (!IsPrompt(claim.Sequence)) return;
            var found = FindComputed(claim.Sequence);
            if (found.Count > 0) adoptions.Add(new Adoption(claim.Sequence, found));
            claim.Computed += found.Count * _blockTokens;
        }

        // Tokens up to the next border of a block, or to the end. If another request computes that block in this step, the sequence waits
        // and adopts the block in the next step.
        int Deal(Claim claim)
        {
            var end = claim.Computed + claim.Tokens;
            return IsPrompt(claim.Sequence) && IsAtBorder(claim.Sequence.Request, end, out var next)
                && inThisStep.Contains(claim.Sequence.Request.Chain[next])
                    ? 0
                    : Math.Min(((end / _blockTokens) + 1) * _blockTokens, claim.Sequence.Ids.Count) - end;
        }

        int Give(Claim claim, int tokens)
        {
            var begin = claim.Computed + claim.Tokens;
            if (IsPrompt(claim.Sequence)) inThisStep.UnionWith(FullBlocks(claim.Sequence.Request, begin, begin + tokens));
            claim.Tokens += tokens;
            return tokens;
        }
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

    // The sequences to compute of each request of each tenant. Those that were served the longest ago come first.
    private static Queue<Queue<Queue<Claim>>> InTurn(IReadOnlyList<EngineRequest> running) => new(
        from tenant in running.GroupBy(request => request.Terms.Tenant)
        let requests = new Queue<Queue<Claim>>(
            from request in tenant.OrderBy(request => request.LastServed)
            let claims = new Queue<Claim>(
                request.Sequences.Where(sequence => sequence.Uncomputed > 0 && !IsDecoding(sequence)).Select(one => new Claim(one)))
            where claims.Count > 0
            select claims)
        where requests.Count > 0
        orderby tenant.Max(request => request.LastServed)
        select requests);

    private static bool IsPrompt(Sequence sequence) =>
        sequence == sequence.Request.Root && sequence.Computed < sequence.Request.Prompt.Ids.Count;

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

    /// <summary>A sequence that has tokens to compute besides the next token of an answer.</summary>
    private sealed class Claim(Sequence sequence)
    {
        public Sequence Sequence { get; } = sequence;

        /// <summary>Number of tokens that are computed or adopted.</summary>
        public int Computed { get; set; } = sequence.Computed;

        /// <summary>Number of tokens that the step computes after them.</summary>
        public int Tokens { get; set; }

        /// <summary>Whether the sequence has had its first turn in this step.</summary>
        public bool HasBegun { get; set; }

        public bool IsServed => Computed + Tokens == Sequence.Ids.Count;

        public PlannedChunk Planned => new(Sequence, Tokens);
    }
}
