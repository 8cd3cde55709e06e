using System.Diagnostics.Metrics;
using Flamingo.Abstractions;
using Flamingo.Wire;
using Microsoft.Extensions.Options;

namespace Flamingo.Transport.Serving.Arrival;

/// <summary>
/// Bounds the bytes of all requests in flight (<see cref="RequestOptions.MaxInFlightBytes"/>). Nothing is kept of a tenant that has no
/// request in flight, because callers may invent any number of names.
/// </summary>
public sealed class ByteBudget : IDisposable
{
    /// <summary>Requests of up to this size may take the part of the budget that larger ones must leave.</summary>
    internal const int SmallBytes = 64 << 10;

    // .NET puts arrays from this size on into the large object heap, which only a full collection frees.
    private const int LargeObjectBytes = 85_000;

    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(1);

    private readonly Meter _meter = new("Flamingo.Transport");
    private readonly Counter<long> _refusals;
    private readonly Lock _lock = new();
    private readonly Dictionary<string, long> _byTenant = new(StringComparer.Ordinal);
    private readonly long _most, _mostOfTenant, _mostOfLarge;
    private long _inFlight;
    private long _uncollected; // large bytes that were given back since the last full collection
    private int _collections;

    /// <param name="options">The options.</param>
    /// <param name="sharesByTenant">Whether one tenant may take only half, as in a gateway; the callers of a stage are gateways.</param>
    public ByteBudget(IOptions<RequestOptions> options, bool sharesByTenant)
    {
        _most = options.Value.MaxInFlightBytes;
        _mostOfLarge = _most - (_most / 16);
        _mostOfTenant = sharesByTenant ? _most / 2 : _most;
        _meter.CreateObservableGauge("flamingo.requests.bytes", () => InFlight, "By", "Bytes of all requests in flight.");
        _meter.CreateObservableGauge(
            "flamingo.requests.bytes_limit", () => _most, "By", "Bound on these bytes (Requests:MaxInFlightBytes).");
        _refusals = _meter.CreateCounter<long>(
            "flamingo.requests.refusals", "{request}", "Requests for which there was no room in memory, by reason.");
        LargestMessage = (int)Math.Min(MessageLimits.MostBytes, Math.Min(_mostOfTenant, _mostOfLarge) / 2);
    }

    /// <summary>The largest message that can be received, in bytes.</summary>
    public int LargestMessage { get; }

    /// <summary>The largest body in bytes that can be held this many times.</summary>
    public int LargestBody(int copies) => (int)Math.Min(int.MaxValue / 2, Math.Min(_mostOfTenant, _mostOfLarge) / copies);

    /// <summary>Bytes that are taken at present.</summary>
    public long InFlight
    {
        get
        {
            lock (_lock) return _inFlight;
        }
    }

    /// <summary>Number of tenants with requests in flight.</summary>
    public int Tenants
    {
        get
        {
            lock (_lock) return _byTenant.Count;
        }
    }

    /// <param name="own">What the request has taken before.</param>
    /// <param name="small">Whether the request may take the part that larger ones must leave.</param>
    /// <exception cref="FlamingoException">
    /// Overloaded: with RetryAfter if the bytes are not free at present, and without it if the request does not fit even alone.
    /// </exception>
    public void Take(string tenant, long bytes, long own, bool small)
    {
        var collect = false;
        lock (_lock)
        {
            Check(tenant, bytes, own, small);
            _inFlight += bytes;
            _byTenant[tenant] = _byTenant.GetValueOrDefault(tenant) + bytes;
            if (GC.CollectionCount(2) != _collections) (_uncollected, _collections) = (0, GC.CollectionCount(2));
            collect = bytes >= LargeObjectBytes && _inFlight + _uncollected > _most;
            if (collect) _uncollected = 0;
        }

        // Memory of ended requests that is not collected yet would come on top of the budget. Pictures are large arrays without
        // references, so a collection costs little compared with receiving the bytes that cause it.
        if (collect) GC.Collect(2, GCCollectionMode.Forced, blocking: true, compacting: false);
    }

    /// <summary>Throws like <see cref="Take"/> if the bytes could not be taken now, and takes nothing.</summary>
    /// <exception cref="FlamingoException">As for <see cref="Take"/>.</exception>
    public void CheckFree(string tenant, long bytes, bool small)
    {
        lock (_lock) Check(tenant, bytes, own: 0, small);
    }

    public void GiveBack(string tenant, long bytes)
    {
        if (bytes == 0) return;
        lock (_lock)
        {
            _inFlight -= bytes;
            if (bytes >= LargeObjectBytes) _uncollected += bytes;
            var left = _byTenant[tenant] - bytes;
            if (left > 0) _byTenant[tenant] = left;
            else _byTenant.Remove(tenant);
        }
    }

    public void Dispose() => _meter.Dispose();

    private void Check(string tenant, long bytes, long own, bool small)
    {
        if (own + bytes > Math.Min(_mostOfTenant, small ? _most : _mostOfLarge))
        {
            Refused("too_large");
            throw new FlamingoException(
                FlamingoErrorKind.Overloaded,
                "The request does not fit into memory while it arrives, even if there is no other. Send a smaller one, or raise "
                + "Requests:MaxInFlightBytes.");
        }

        if (_byTenant.GetValueOrDefault(tenant) + bytes > _mostOfTenant) throw Overloaded("tenant_full", "This tenant's requests hold");
        if (_inFlight + bytes > (small ? _most : _mostOfLarge)) throw Overloaded("full", "The requests of all callers hold");
    }

    private FlamingoException Overloaded(string reason, string whose)
    {
        Refused(reason);
        return new FlamingoException(
            FlamingoErrorKind.Overloaded,
            $"{whose} so many bytes that this one must wait. Retry in {RetryAfter.TotalSeconds:0} s, or raise Requests:MaxInFlightBytes.")
        {
            RetryAfter = RetryAfter,
        };
    }

    private void Refused(string reason) => _refusals.Add(1, new KeyValuePair<string, object?>("reason", reason));
}
