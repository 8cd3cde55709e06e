using Flamingo.Abstractions;

namespace Flamingo.Stages;

/// <summary>
/// Memory that one component of a process will allocate, estimated from options and file headers before any weights are read. The
/// claims of all components of a process are added up and compared with the available memory.
/// </summary>
/// <param name="Holder">Name of the component for messages, for example "language model".</param>
public sealed record MemoryClaim(string Holder, IReadOnlyList<MemoryItem> Items)
{
    /// <summary>The device that holds the memory: cpu for main memory, or a torch device such as cuda:0.</summary>
    public string Device { get; init; } = "cpu";
}

/// <param name="What">Description for messages, for example "weights".</param>
/// <param name="Remedy">What an operator can do to reduce it, as an imperative; null if nothing can be done.</param>
public sealed record MemoryItem(string What, long Bytes, string? Remedy);
