using System.Diagnostics.Metrics;
using Tag = System.Collections.Generic.KeyValuePair<string, object?>;

namespace Flamingo.Gateway.Operations;

/// <summary>
/// Meter <c>Flamingo.Gateway</c>: the latent cache, as <see cref="LatentCacheOperations"/> counts it, and deliveries of latents. A process
/// may hold several gateways, each with a meter of its own.
/// </summary>
public sealed class GatewayMetrics : IDisposable
{
    private static readonly Tag Memory = new("tier", "memory");
    private static readonly Tag Redis = new("tier", "redis");

    private readonly Meter _meter = new("Flamingo.Gateway");
    private readonly Counter<long> _redeliveries;

    public GatewayMetrics(LatentCacheOperations cache)
    {
        _redeliveries = _meter.CreateCounter<long>("flamingo.latents.redeliveries", "{call}");
        Count("flamingo.latents.hits", "{lookup}", "Lookups that were answered.",
            () => [(cache.Read().Memory.Hits, Memory), (cache.Read().Redis?.Hits, Redis)]);
        Count("flamingo.latents.misses", "{lookup}", "Lookups that were not; Redis is asked for what memory misses.",
            () => [(cache.Read().Memory.Misses, Memory), (cache.Read().Redis?.Misses, Redis)]);
        Count("flamingo.latents.evictions", "{entry}", "Entries that left for others.", () => [(cache.Read().Memory.Evictions, Memory)]);
        Count("flamingo.latents.rejections", "{entry}", "Entries that were not let in for those held.",
            () => [(cache.Read().Memory.Rejections, Memory)]);
        Count("flamingo.latents.failures", "{call}", "Calls that failed or took longer than their budget.",
            () => [(cache.Read().Redis?.Failures, Redis)]);
        Count("flamingo.latents.corrupt", "{value}", "Values that did not read back.", () => [(cache.Read().Redis?.Corrupt, Redis)]);
        Count("flamingo.latents.transferred", "By", "Bytes of values.", () =>
        [
            (cache.Read().Redis?.BytesRead, new("direction", "read")), (cache.Read().Redis?.BytesWritten, new("direction", "written")),
        ]);
        Count("flamingo.latents.encodings", "{picture}", "Pictures sent to the stages.", () => [(cache.Read().Encoded, null)]);
        Count("flamingo.latents.waits", "{picture}",
            "Pictures that waited for another request's encoding, in this gateway or at another one.",
            () => [(cache.Read().Waits, new("gateway", "this")), (cache.Read().SharedWaits, new("gateway", "another"))]);
        _meter.CreateObservableCounter(
            "flamingo.latents.saved", () => cache.Read().Saved.TotalSeconds, "s", "What encoding the found pictures had cost.");
        Hold("flamingo.latents.entries", "{entry}", "Entries held.", () => cache.Read().Memory.Entries);
        Hold("flamingo.latents.bytes", "By", "Bytes of latents held.", () => cache.Read().Memory.Bytes);
        Hold("flamingo.latents.bytes_limit", "By", "Their bound.", () => cache.Read().Memory.MaxBytes);
    }

    /// <summary>
    /// Counts a call that is made again with all latents, because the language model did not hold those that it was believed to hold.
    /// </summary>
    public void CountRedelivery() => _redeliveries.Add(1);

    public void Dispose() => _meter.Dispose();

    private void Hold(string name, string unit, string description, Func<long> read) =>
        _meter.CreateObservableGauge(name, () => new Measurement<long>(read(), Memory), unit, description);

    // A tier that is off has no value, and so no measurement.
    private void Count(string name, string unit, string description, Func<(long? Value, Tag? Tag)[]> read) =>
        _meter.CreateObservableCounter(
            name, () => read().Where(item => item.Value is not null).Select(item => item.Tag is { } tag
                ? new Measurement<long>(item.Value!.Value, tag) : new Measurement<long>(item.Value!.Value)), unit, description);
}
