namespace Flamingo.LanguageModel.Engine.Generation;

/// <param name="MaxQueued">Requests that may wait for memory or a place.</param>
/// <param name="MaxSequences">Sequences in work at once.</param>
/// <param name="PrefillChunk">Most prompt tokens of one step in which no answer is decoded.</param>
/// <param name="PrefillChunkBesideDecoding">The same of a step that decodes answers too.</param>
/// <param name="MaxCandidatesAtOnce">Candidates of one ranking that ride in one step.</param>
public sealed record EngineLimits(
    int MaxQueued, int MaxSequences, int PrefillChunk, int PrefillChunkBesideDecoding, int MaxCandidatesAtOnce);

/// <summary>What the engine held after its last step; free + leased + cached blocks are all blocks.</summary>
/// <param name="Steps">Steps so far.</param>
/// <param name="ComputedTokens">Rows that went through the model so far, prompts and answers.</param>
/// <param name="CachedTokens">Prompt tokens that were not computed because another request had.</param>
/// <param name="Projections">Pictures whose keys and values were computed so far.</param>
public sealed record EngineStatistics(
    int Running, int Waiting, int FreeBlocks, int LeasedBlocks, int CachedBlocks, int PinnedBlocks, int LeasedPictures, int IdlePictures,
    long Steps, long ComputedTokens, long CachedTokens, long Projections, long Evictions);
