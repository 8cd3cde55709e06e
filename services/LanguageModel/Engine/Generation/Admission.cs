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
    // One part of so many is left to tenants that do not run a request.
    private const int LeftToOthers = 8;

    /// <summary>Refuses a request that could never be admitted, however long it waited.</summary>
    /// <exception cref="FlamingoException">InvalidArgument, or LatentsMissing.</exception>
    public void Check(EngineRequest request)
    {
        var faults = new FaultList();
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
        var (prefix, most) = (request.Prompt.Ids.Count / memory.BlockTokens, PinnedPrefixes.MostOfTenant(memory.Blocks));
        if (request.Terms.PinPrefix is not null && prefix > most)
            faults.Add(new("pin_prefix", $"The prompt fills {prefix} blocks; a tenant may pin at most {most}.",
                "Ask without pin_prefix, or raise LanguageModel:KvCacheBytes."));
        PromptRules.ThrowIfAny(faults);
        RequireLatents(request);
    }

    /// <summary>Number of sequences that take part in steps: those of all requests that are not paused.</summary>
    public static int PlacesTaken(IEnumerable<EngineRequest> running) =>
        running.Where(request => !request.IsPaused).Sum(request => request.Width);

    /// <summary>
    /// Admits the request if it fits. A tenant that runs requests already leaves an eighth of the blocks and picture slots available, and
    /// a tenant without a running request may use some more places than <see cref="EngineLimits.MaxSequences"/>, so that no tenant holds
    /// everything. Pinned prefixes give way where nothing else makes room.
    /// </summary>
    /// <param name="running">Requests that are admitted and have not ended.</param>
    /// <returns>False if the request must wait until other requests have ended.</returns>
    /// <exception cref="FlamingoException">LatentsMissing, or Overloaded if its prefix cannot be pinned now.</exception>
    public bool TryAdmit(EngineRequest request, IReadOnlyList<EngineRequest> running)
    {
        RequireLatents(request);
        var (tenant, pinning) = (request.Terms.Tenant, request.Terms.PinPrefix is not null);
        var runsAlready = running.Any(other => other.Terms.Tenant == tenant);
        var places = limits.MaxSequences + (runsAlready ? 0 : limits.PlacesForNewcomers);
        if (PlacesTaken(running) + request.Width > places) return false;
        var keys = Distinct(request);
        if (!pictures.CanLease(keys, leave: runsAlready ? pictures.Slots / LeftToOthers : 0)) return false;

        if (request.Chain.Count == 0) request.Chain = BlockHash.Chain(request.Prompt, tenant, memory.BlockTokens);
        var computed = scheduler.FindComputed(request);
        var needed = request.BlocksNeeded(memory.BlockTokens);
        var leave = runsAlready ? pool.Total / LeftToOthers : 0;
        if (Cost(_ => false) + leave > pool.Available)
        {
            var pinned = pins.Yieldable();
            if (Cost(pinned.Contains) + leave > pool.Available + pinned.Count) return false;
        }

        if (pinning) pins.RequireRoom(request.Chain, tenant);
        pins.Yield(tenant, computed, () => Cost(_ => false) <= pool.Available);
        if (pinning) pins.Promise(request.Chain, tenant);
        request.Admit(new BlockLease(pool, needed - computed.Count), pictures.Lease(keys));
        request.Root!.BeginBehind(computed, memory.BlockTokens);
        return true;

        // A computed block that is leased already costs nothing. One that only the cache holds, or only pins, counts like a new one.
        int Cost(Func<int, bool> isYielded) => needed - computed.Count(block => !pool.IsCached(block) && !isYielded(block));
    }

    private static HashSet<string> Distinct(EngineRequest request) => request.Prompt.Keys.ToHashSet(StringComparer.Ordinal);

    private void RequireLatents(EngineRequest request)
    {
        var missing = Distinct(request).Where(name => !request.Prompt.Latents.ContainsKey(name) && !pictures.Holds(name))
            .Select(PictureName.KeyOf).Distinct(StringComparer.Ordinal).ToList();
        if (missing.Count > 0)
            throw new FlamingoException(
                FlamingoErrorKind.LatentsMissing,
                $"{missing.Count} latents are not held here. Send all pictures with their latents.") { Missing = missing };
    }
}
