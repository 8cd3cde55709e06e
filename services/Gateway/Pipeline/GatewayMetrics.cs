using System.Diagnostics.Metrics;
using Flamingo.Gateway.LatentCache;

namespace Flamingo.Gateway;

/// <summary>Meter <c>Flamingo.Gateway</c>: the latent cache, as <see cref="LatentCacheOperations"/> counts it, and deliveries.</summary>
public sealed class GatewayMetrics : IDisposable
{
    private static readonly Meter Deliveries = new("Flamingo.Gateway");
    private static readonly KeyValuePair<string, object?> Memory = new("tier", "memory");
    private static readonly KeyValuePair<string, object?> Redis = new("tier", "redis");

    private readonly Meter _meter = new("Flamingo.Gateway"); // of one gateway: a process may hold several
    private readonly LatentCacheOperations _cache;

    public GatewayMetrics(LatentCacheOperations cache)
    {
        _cache = cache;
        Count("flamingo.latents.hits", "{lookup}", "Lookups that were answered.", () => [(_cache.Read().Memory.Hits, Memory), (_cache.Read().Redis?.Hits, Redis)]);
        Count("flamingo.latents.misses", "{lookup}", "Lookups that were not; Redis is asked for what memory misses.", () => [(_cache.Read().Memory.Misses, Memory), (_cache.Read().Redis?.Misses, Redis)]);
        Count("flamingo.latents.evictions", "{entry}", "Entries that left for others.", () => [(_cache.Read().Memory.Evictions, Memory)]);
        Count("flamingo.latents.rejections", "{entry}", "Entries that were not let in for those held.", () => [(_cache.Read().Memory.Rejections, Memory)]);
        Count("flamingo.latents.failures", "{call}", "Calls that failed or took longer than their budget.", () => [(_cache.Read().Redis?.Failures, Redis)]);
        Count("flamingo.latents.corrupt", "{value}", "Values that did not read back.", () => [(_cache.Read().Redis?.Corrupt, Redis)]);
        Count("flamingo.latents.transferred", "By", "Bytes of values.", () => [(_cache.Read().Redis?.BytesRead, new("direction", "read")), (_cache.Read().Redis?.BytesWritten, new("direction", "written"))]);
        Count("flamingo.latents.encodings", "{picture}", "Pictures sent to the stages.", () => [(_cache.Read().Encoded, null)]);
        Count("flamingo.latents.waits", "{picture}", "Pictures that waited for another request's encoding, in this gateway or at another one.", () => [(_cache.Read().Waits, new("gateway", "this")), (_cache.Read().SharedWaits, new("gateway", "another"))]);
        _meter.CreateObservableCounter("flamingo.latents.saved", () => _cache.Read().Saved.TotalSeconds, "s", "What encoding the found pictures had cost.");
        _meter.CreateObservableGauge("flamingo.latents.entries", () => new Measurement<long>(_cache.Read().Memory.Entries, Memory), "{entry}", "Entries held.");
        _meter.CreateObservableGauge("flamingo.latents.bytes", () => new Measurement<long>(_cache.Read().Memory.Bytes, Memory), "By", "Bytes of latents held.");
        _meter.CreateObservableGauge("flamingo.latents.bytes_limit", () => new Measurement<long>(_cache.Read().Memory.MaxBytes, Memory), "By", "Their bound.");
    }

    /// <summary>Calls made again with all latents, because the language model did not hold those it was believed to hold.</summary>
    public static Counter<long> Redeliveries { get; } = Deliveries.CreateCounter<long>("flamingo.latents.redeliveries", "{call}");

    public void Dispose() => _meter.Dispose();

    // without a value where there is no such tier
    private void Count(string name, string unit, string description, Func<(long? Value, KeyValuePair<string, object?>? Tag)[]> read) =>
        _meter.CreateObservableCounter(
            name, () => read().Where(item => item.Value is not null).Select(item => item.Tag is { } tag ? new Measurement<long>(item.Value!.Value, tag) : new Measurement<long>(item.Value!.Value)), unit, description);
}
