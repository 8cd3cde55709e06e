using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Gateway.LatentCache;

/// <summary>What the cache keeps under a key.</summary>
/// <param name="Cost">What encoding it took in the stages; a hit saves as much.</param>
public sealed record LatentEntry(ChecksummedLatents Latents, TimeSpan Cost);
