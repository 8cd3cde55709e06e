namespace Flamingo.LanguageModel.Engine.Generation;

/// <summary>Limits on what the engine queues and computes.</summary>
/// <param name="MaxQueued">Most requests that may wait to be admitted.</param>
/// <param name="MaxSequences">
/// Most sequences that are computed at once, besides those of <see cref="PlacesForNewcomers"/>.
/// </param>
/// <param name="PrefillChunk">Most prompt tokens of a step that decodes no answer.</param>
/// <param name="PrefillChunkBesideDecoding">Most prompt tokens of a step that also decodes answers.</param>
/// <param name="MaxCandidatesAtOnce">Most candidates of one ranking that are computed in one step.</param>
public sealed record EngineLimits(
    int MaxQueued, int MaxSequences, int PrefillChunk, int PrefillChunkBesideDecoding, int MaxCandidatesAtOnce)
{
    /// <summary>How long events of an answer may wait without any being taken before the answer ends with Aborted.</summary>
    public TimeSpan WriteStallTimeout { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>
    /// Sequences beyond <see cref="MaxSequences"/> that only requests of tenants without a running request may take: a quarter of it.
    /// </summary>
    public int PlacesForNewcomers => (MaxSequences + 3) / 4;
}

/// <summary>What the engine held after its last step. The numbers of free, leased and cached blocks add up to all blocks.</summary>
/// <param name="Steps">Steps since the start.</param>
/// <param name="ComputedTokens">Tokens of prompts and answers that the model has computed since the start.</param>
/// <param name="CachedTokens">Prompt tokens that were taken from the prefix cache instead of being computed.</param>
/// <param name="Projections">Pictures whose keys and values have been computed since the start.</param>
public sealed record EngineStatistics(
    int Running, int Waiting, int FreeBlocks, int LeasedBlocks, int CachedBlocks, int PinnedBlocks, int LeasedPictures, int IdlePictures,
    long Steps, long ComputedTokens, long CachedTokens, long Projections, long Evictions)
{
    /// <summary>The state of an engine that has no memory yet.</summary>
    internal static EngineStatistics None { get; } = new(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
}
