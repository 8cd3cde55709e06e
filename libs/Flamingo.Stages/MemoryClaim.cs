using Flamingo.Abstractions;

namespace Flamingo.Stages;

/// <summary>
/// What one part of a process will hold, known from options and file headers before anything is read. Parts that share a process
/// are compared with its memory together.
/// </summary>
/// <param name="Holder">For people, for example "language model".</param>
public sealed record MemoryClaim(string Holder, IReadOnlyList<MemoryItem> Items)
{
    /// <summary>Whose memory it takes: cpu for the process's own, or a torch device such as cuda:0.</summary>
    public string Device { get; init; } = "cpu";
}

/// <param name="What">For people, for example "weights".</param>
/// <param name="Remedy">What an operator can do to make it less, as an imperative; null for nothing.</param>
public sealed record MemoryItem(string What, long Bytes, string? Remedy);
