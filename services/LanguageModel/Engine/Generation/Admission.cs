using Flamingo.Abstractions;
using Flamingo.LanguageModel.Engine.KvCache;
using Flamingo.LanguageModel.Engine.Pictures;
using Flamingo.LanguageModel.Engine.Scheduling;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.Generation;

/// <summary>
/// Decides whether a request may begin, and leases what it needs: blocks for its full length, so that no stream stalls half-way,
/// and a slot for each of its pictures.
/// </summary>
internal sealed class Admission(
    BlockPool pool, Scheduler scheduler, PictureMemory pictures, PinnedPrefixes pins, ModelMemory memory, EngineLimits limits)
{
    /// <summary>Refuses a request that could never be admitted, however long it waited.</summary>
    /// <exception cref="FlamingoException">InvalidArgument, or LatentsMissing.</exception>
    public void Check(EngineRequest request)
    {
        var faults = new List<FieldFault>();
        var blocks = request.BlocksNeeded(memory.BlockTokens);
        if (blocks > memory.Blocks)
            faults.Add(new("segments", $"Prompt and answers need {blocks * memory.BlockTokens} tokens of memory; the model has "
                + $"{memory.Blocks * memory.BlockTokens}.", "Ask for fewer samples, beams or tokens, or raise "
                    + "LanguageModel:KvCacheBytes."));
        var distinct = Distinct(request).Count;
        if (distinct > memory.PictureSlots)
            faults.Add(new("segments", $"{distinct} different pictures are more than the {memory.PictureSlots} that are held at "
                + $"once.", "Send fewer pictures, or raise LanguageModel:PictureMemoryBytes."));
        if (request.Width > limits.MaxSequences)
            faults.Add(new("sampling", $"{request.Width} samples or beams are more than the {limits.MaxSequences} sequences that are "
                + $"computed at once.", "Ask for fewer samples or beams, or raise LanguageModel:MaxSequences."));
        var (prefix, most) = (request.Prompt.Ids.Count / memory.BlockTokens, PinnedPrefixes.MostBlocks(memory.Blocks));
        if (request.Terms.PinPrefix is not null && prefix > most)
            faults.Add(new("pin_prefix", $"The prompt fills {prefix} blocks; at most {most} may be "
                + $"pinned.", "Ask without pin_prefix, or raise LanguageModel:KvCacheBytes."));
        PromptRules.ThrowIfAny(faults);
        RequireLatents(request);
    }

    /// <returns>False if the request must wait until other requests have ended.</returns>
    /// <exception cref="FlamingoException">LatentsMissing, or Overloaded if its prefix cannot be pinned now.</exception>
    public bool TryAdmit(EngineRequest request)
    {
        RequireLatents(request);
        var keys = Distinct(request);
        if (!pictures.CanLease(keys)) return false;

        if (request.Chain.Count == 0) request.Chain = BlockHash.Chain(request.Prompt, request.Terms.Tenant, memory.BlockTokens);
        var computed = scheduler.FindComputed(request);
        var needed = request.BlocksNeeded(memory.BlockTokens);
        // A computed block that is leased already costs nothing. One that only the cache holds counts like a new one.
        if (needed - computed.Count(block => !pool.IsCached(block)) > pool.Available) return false;

        if (request.Terms.PinPrefix is not null) pins.Promise(request.Chain);
        request.Admit(new BlockLease(pool, needed - computed.Count), pictures.Lease(keys));
        request.Root!.BeginBehind(computed, memory.BlockTokens);
        return true;
    }

    private static HashSet<string> Distinct(EngineRequest request) => request.Prompt.Keys.ToHashSet(StringComparer.Ordinal);

    private void RequireLatents(EngineRequest request)
    {
        var missing = Distinct(request).Where(key => !request.Prompt.Latents.ContainsKey(key) && !pictures.Holds(key)).ToList();
        if (missing.Count > 0)
            throw new FlamingoException(
                FlamingoErrorKind.LatentsMissing,
                $"{missing.Count} latents are not held here. Send all pictures with their latents.") { Missing = missing };
    }
}
