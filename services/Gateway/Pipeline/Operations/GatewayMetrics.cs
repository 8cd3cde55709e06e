using System.Diagnostics.Metrics;
using Tag = System.Collections.Generic.KeyValuePair<string, object?>;

namespace Flamingo.Gateway.Operations;

/// <summary>
/// The meter <c>Flamingo.Gateway</c> with the counts of the latent cache, as reported by <see cref="LatentCacheOperations"/>, and
/// of repeated deliveries of latents. A process may contain several gateways, each with its own meter.
/// </summary>
public sealed class GatewayMetrics : IDisposable
{
    private static readonly Tag Memory = new("tier", "memory");
    private static readonly Tag Redis = new("tier", "redis");

    private readonly Meter _meter = new("Flamingo.Gateway");
    private readonly Counter<long> _redeliveries;

    public GatewayMetrics(LatentCacheOperations cache)
    {
        _redeliveries = _meter.CreateCounter<long>(
            "flamingo.latents.redeliveries", "{call}",
            "Calls of the language model that were repeated with all latents, because it did not hold some of them.");
        AddCounter("flamingo.latents.hits", "{lookup}", "Lookups that found a value.",
            () => [(cache.Read().Memory.Hits, Memory), (cache.Read().Redis?.Hits, Redis)]);
        AddCounter("flamingo.latents.misses", "{lookup}",
            "Lookups that found no value; Redis is queried only for values that memory misses.",
            () => [(cache.Read().Memory.Misses, Memory), (cache.Read().Redis?.Misses, Redis)]);
        AddCounter("flamingo.latents.evictions", "{entry}", "Entries that were removed to make space for other entries.",
            () => [(cache.Read().Memory.Evictions, Memory)]);
        AddCounter("flamingo.latents.rejections", "{entry}",
            "Entries that were not admitted because the held entries were used more often.",
            () => [(cache.Read().Memory.Rejections, Memory)]);
        AddCounter("flamingo.latents.failures", "{call}", "Calls that failed or took longer than their budget.",
            () => [(cache.Read().Redis?.Failures, Redis)]);
        AddCounter("flamingo.latents.corrupt", "{value}", "Values that could not be decoded.",
            () => [(cache.Read().Redis?.Corrupt, Redis)]);
        AddCounter("flamingo.latents.transferred", "By", "Bytes of values read from and written to Redis.", () =>
        [
            (cache.Read().Redis?.BytesRead, new("direction", "read")), (cache.Read().Redis?.BytesWritten, new("direction", "written")),
        ]);
        AddCounter("flamingo.latents.encodings", "{picture}", "Pictures sent to the stages.", () => [(cache.Read().Encoded, null)]);
        AddCounter("flamingo.latents.waits", "{picture}",
            "Pictures that waited for another request's encoding, in this gateway or at another one.",
            () => [(cache.Read().Waits, new("gateway", "this")), (cache.Read().SharedWaits, new("gateway", "another"))]);
        AddCounter("flamingo.latents.leases", "{lease}", "Leases on pictures that this gateway has taken, and that it has lost.",
            () => [(cache.Leases?.Taken, new("event", "taken")), (cache.Leases?.Lost, new("event", "lost"))]);
        _meter.CreateObservableGauge(
            "flamingo.latents.leases_held", () => cache.Leases is { } leases ? [new(leases.Held)] : Array.Empty<Measurement<int>>(),
            "{lease}", "Leases on pictures that this gateway holds.");
        _meter.CreateObservableCounter(
            "flamingo.latents.saved", () => cache.Read().Saved.TotalSeconds, "s",
            "Time that encoding the cached pictures had taken, which the cache hits saved.");
        AddGauge("flamingo.latents.entries", "{entry}", "Entries held.", () => cache.Read().Memory.Entries);
        AddGauge("flamingo.latents.bytes", "By", "Bytes of latents held.", () => cache.Read().Memory.Bytes);
        AddGauge("flamingo.latents.bytes_limit", "By", "Bound on the bytes of latents held.", () => cache.Read().Memory.MaxBytes);
    }

    /// <summary>
    /// Counts a call that is repeated with all latents, because the language model did not hold latents that it was believed to hold.
    /// </summary>
    public void CountRedelivery() => _redeliveries.Add(1);

    public void Dispose() => _meter.Dispose();

    private void AddGauge(string name, string unit, string description, Func<long> read) =>
        _meter.CreateObservableGauge(name, () => new Measurement<long>(read(), Memory), unit, description);

    // A tier that is turned off has no value and therefore gives no measurement.
    private void AddCounter(string name, string unit, string description, Func<(long? Value, Tag? Tag)[]> read) =>
        _meter.CreateObservableCounter(
            name, () => read().Where(item => item.Value is not null).Select(item => item.Tag is { } tag
                ? new Measurement<long>(item.Value!.Value, tag) : new Measurement<long>(item.Value!.Value)), unit, description);
}
