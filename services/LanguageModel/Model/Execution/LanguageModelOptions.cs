using System.ComponentModel.DataAnnotations;
using Flamingo.Modeling.Runtime;

namespace Flamingo.LanguageModel.Execution;

/// <summary>Limits and memory of the stage; section <c>LanguageModel</c>.</summary>
public sealed class LanguageModelOptions
{
    public const string Section = "LanguageModel";

    /// <summary>Torch device of this stage: cpu, cuda or cuda:N; empty for <see cref="ModelOptions.Device"/>.</summary>
    [RegularExpression(ModelOptions.Devices, ErrorMessage = "cpu, cuda or cuda:N, or nothing for that of Model:Device")]
    public string Device { get; set; } = "";

    /// <summary>
    /// Requests that may wait for their turn, as every one does until the next step; one more is answered RESOURCE_EXHAUSTED.
    /// </summary>
    [Range(1, 10_000)]
    public int MaxQueued { get; set; } = 64;

    /// <summary>Answers in work at once; samples and beams count each.</summary>
    [Range(1, 4096)]
    public int MaxSequences { get; set; } = 64;

    /// <summary>Most samples or beams of one request.</summary>
    [Range(1, 4096)]
    public int MaxSamples { get; set; } = 16;

    /// <summary>Most candidates of one Rank request.</summary>
    [Range(1, 100_000)]
    public int MaxCandidates { get; set; } = 1000;

    /// <summary>
    /// Memory for self-attention keys and values, in bytes: prompts and answers in work, and prefixes kept for the next ones.
    /// </summary>
    [Range(1 << 16, 1L << 50)]
    public long KvCacheBytes { get; set; } = 2L << 30;

    /// <summary>Memory for pictures' cross-attention keys and values, in bytes.</summary>
    [Range(1 << 16, 1L << 50)]
    public long PictureMemoryBytes { get; set; } = 512L << 20;

    /// <summary>Most prompt tokens of one step in which no answer is decoded.</summary>
    [Range(16, 65_536)]
    public int PrefillChunk { get; set; } = 512;

    /// <summary>The same while answers stream: the larger, the longer they wait for their next token.</summary>
    [Range(16, 65_536)]
    public int PrefillChunkBesideDecoding { get; set; } = 64;

    /// <summary>Longest time that a caller may pin a prefix.</summary>
    [Range(typeof(TimeSpan), "00:00:00", "30.00:00:00")]
    public TimeSpan MaxPin { get; set; } = TimeSpan.FromHours(1);
}
