using System.ComponentModel.DataAnnotations;

namespace Flamingo.LanguageModel.Execution;

/// <summary>Limits of the stage; section <c>LanguageModel</c>.</summary>
public sealed class LanguageModelOptions
{
    public const string Section = "LanguageModel";

    /// <summary>Requests that may wait for their turn; one more is answered RESOURCE_EXHAUSTED.</summary>
    [Range(0, 10_000)]
    public int MaxQueued { get; set; } = 64;

    /// <summary>Most candidates of one Rank request.</summary>
    [Range(1, 100_000)]
    public int MaxCandidates { get; set; } = 1000;
}
