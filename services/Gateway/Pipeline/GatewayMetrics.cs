using System.Diagnostics.Metrics;

namespace Flamingo.Gateway;

/// <summary>Meter <c>Flamingo.Gateway</c>: where pictures' latents came from.</summary>
internal static class GatewayMetrics
{
    private static readonly Meter Meter = new("Flamingo.Gateway");

    public static Counter<long> MemoryHits { get; } = Meter.CreateCounter<long>("flamingo.latents.memory_hits", "{picture}");

    public static Counter<long> RedisHits { get; } = Meter.CreateCounter<long>("flamingo.latents.redis_hits", "{picture}");

    public static Counter<long> Encodings { get; } = Meter.CreateCounter<long>("flamingo.latents.encodings", "{picture}");

    /// <summary>Calls made again with all latents, because the language model did not hold those it was believed to hold.</summary>
    public static Counter<long> Redeliveries { get; } = Meter.CreateCounter<long>("flamingo.latents.redeliveries", "{call}");
}
