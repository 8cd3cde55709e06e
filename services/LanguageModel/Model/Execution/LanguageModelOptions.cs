using System.ComponentModel.DataAnnotations;
using Flamingo.Modeling.Runtime;

namespace Flamingo.LanguageModel.Execution;

/// <summary>Limits and memory sizes of the stage; section <c>LanguageModel</c>.</summary>
public sealed class LanguageModelOptions
{
    public const string Section = "LanguageModel";

    /// <summary>Torch device of this stage: cpu, cuda or cuda:N. If it is empty, <see cref="ModelOptions.Device"/> applies.</summary>
    [RegularExpression(ModelOptions.Devices, ErrorMessage = "cpu, cuda or cuda:N, or empty to use Model:Device")]
    public string Device { get; set; } = "";

    /// <summary>
    /// Most requests that may wait for admission. Every request waits at least until the next step; a request beyond the limit is
    /// refused with RESOURCE_EXHAUSTED. It should be larger than the number of requests that all gateways admit, which is 80 for one
    /// with default options, so that a burst that arrives within one step is not refused.
    /// </summary>
    [Range(1, 10_000)]
    public int MaxQueued { get; set; } = 160;

    /// <summary>
    /// Most answers that are computed at once; each sample and each beam counts as one. A quarter more may be computed for tenants that
    /// have no other request running.
    /// </summary>
    [Range(1, 4096)]
    public int MaxSequences { get; set; } = 64;

    /// <summary>Most samples or beams of one request.</summary>
    [Range(1, 4096)]
    public int MaxSamples { get; set; } = 16;

    /// <summary>Most candidates of one Rank request.</summary>
    [Range(1, 100_000)]
    public int MaxCandidates { get; set; } = 1000;

    /// <summary>Most tokens of one Rank request: those of the prompt, counted once, and those of all candidates.</summary>
    [Range(1, 1 << 30)]
    public int MaxRankTokens { get; set; } = 262_144;

    /// <summary>
    /// Memory for self-attention keys and values, in bytes: those of running requests, and those of prefixes that are cached for
    /// later requests.
    /// </summary>
    [Range(1 << 16, 1L << 50)]
    public long KvCacheBytes { get; set; } = 2L << 30;

    /// <summary>Memory for the cross-attention keys and values of pictures, in bytes.</summary>
    [Range(1 << 16, 1L << 50)]
    public long PictureMemoryBytes { get; set; } = 512L << 20;

    /// <summary>Most prompt tokens of a step that decodes no answer.</summary>
    [Range(16, 65_536)]
    public int PrefillChunk { get; set; } = 512;

    /// <summary>
    /// Most prompt tokens of a step that also decodes answers. A larger number makes each answer wait longer for its next token.
    /// </summary>
    [Range(16, 65_536)]
    public int PrefillChunkBesideDecoding { get; set; } = 64;

    /// <summary>
    /// How long the events of an answer may wait without the gateway taking any. Then the answer ends with ABORTED. It should be
    /// longer than the gateway's Gateway:WriteStallTimeout, because the gateway also buffers.
    /// </summary>
    [Range(typeof(TimeSpan), "00:00:01", "01:00:00")]
    public TimeSpan WriteStallTimeout { get; set; } = TimeSpan.FromMinutes(1);

    /// <summary>Longest time that a caller may pin a prefix.</summary>
    [Range(typeof(TimeSpan), "00:00:00", "30.00:00:00")]
    public TimeSpan MaxPin { get; set; } = TimeSpan.FromHours(1);
}
