using System.Globalization;
using System.Runtime.InteropServices;
using Flamingo.Abstractions;
using Flamingo.Gateway.Tenants;
using Flamingo.Stages;

namespace Flamingo.Gateway.SupportSets;

/// <summary>
/// Keeps support sets in the memory of this process, for installations without Redis. The sets are lost when the process ends. All
/// that a set takes is counted against the bound of its tenant and the bound of all tenants. A tenant without sets leaves nothing.
/// </summary>
public sealed class MemorySupportSetStore(SupportSetOptions options, TimeProvider time) : ISupportSetStore
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, TenantSets> _tenants = new(StringComparer.Ordinal); // by digest, none without sets
    private readonly SortedSet<(DateTimeOffset Expires, long Revision, string Tenant, string Name)> _ends = [];
    private long _bytes;
    private long _revision;

    public Task<StoredSet?> GetAsync(Tenant tenant, string name, CancellationToken cancellation)
    {
        lock (_lock) return Task.FromResult(Find(tenant, name)?.Set);
    }

    public Task<IReadOnlyDictionary<string, VisualInput>> GetPicturesAsync(
        Tenant tenant, StoredSet set, IReadOnlyCollection<string> ids, CancellationToken cancellation)
    {
        lock (_lock)
        {
            var files = Find(tenant, set.Name) is { } held && held.Set.Revision == set.Revision ? held.Pictures : null;
            return Task.FromResult<IReadOnlyDictionary<string, VisualInput>>(
                ids.Where(id => files?.ContainsKey(id) == true).ToDictionary(id => id, id => files![id], StringComparer.Ordinal));
        }
    }

    public Task<StoredSet> PutAsync(Tenant tenant, NewSet set, long? expectedVersion, CancellationToken cancellation)
    {
        var (bytes, pictures) = (set.MemoryBytes, set.Pictures.ToDictionary(picture => picture.Key, picture => Own(picture.Value)));
        SupportSetRefusals.CheckSize(bytes, "SupportSets:MaxMemoryBytes", options.MaxMemoryBytes, options);
        lock (_lock)
        {
            var old = Find(tenant, set.Name);
            var version = old?.Set.Version ?? 0;
            if (expectedVersion is { } expected && expected != version) throw SupportSetRefusals.Conflict(set.Name, expected, version);
            var sets = _tenants.GetValueOrDefault(tenant.Digest) ?? new();
            var ofTenant = sets.Bytes - (old?.Bytes ?? 0) + bytes;
            if (old is null && sets.ByName.Count >= options.MaxSets) throw SupportSetRefusals.TooMany(options);
            if (ofTenant > options.MaxTenantBytes) throw SupportSetRefusals.OfTenant(ofTenant, options);
            if (_bytes - (old?.Bytes ?? 0) + bytes > options.MaxMemoryBytes)
                throw SupportSetRefusals.Full($"SupportSets:MaxMemoryBytes is {options.MaxMemoryBytes}");

            Remove(tenant.Digest, set.Name);
            var held = new Held(set.As(version + 1, (++_revision).ToString(CultureInfo.InvariantCulture)), pictures, bytes, _revision);
            sets.ByName[set.Name] = held;
            sets.Bytes += bytes;
            _bytes += bytes;
            _tenants[tenant.Digest] = sets;
            if (set.Expires is { } end) _ends.Add((end, held.Number, tenant.Digest, set.Name));
            return Task.FromResult(held.Set);
        }
    }

    public Task<IReadOnlyList<StoredSet>> ListAsync(Tenant tenant, CancellationToken cancellation)
    {
        lock (_lock)
        {
            RemoveExpired();
            var sets = _tenants.GetValueOrDefault(tenant.Digest)?.ByName.Values.Select(held => held.Set with { Shots = [] }) ?? [];
            return Task.FromResult<IReadOnlyList<StoredSet>>([.. sets.OrderBy(set => set.Name, StringComparer.Ordinal)]);
        }
    }

    public Task<bool> DeleteAsync(Tenant tenant, string name, CancellationToken cancellation)
    {
        lock (_lock)
        {
            RemoveExpired();
            return Task.FromResult(Remove(tenant.Digest, name));
        }
    }

    // A file may be a part of a larger array, for example of the whole message. Such a file is copied, so that the rest can be freed.
    private static VisualInput Own(VisualInput picture) => picture with
    {
        Files = [.. picture.Files.Select(file =>
            MemoryMarshal.TryGetArray(file, out var array) && array.Array!.Length == file.Length ? file : file.ToArray())],
    };

    private Held? Find(Tenant tenant, string name)
    {
        RemoveExpired();
        return _tenants.GetValueOrDefault(tenant.Digest)?.ByName.GetValueOrDefault(name);
    }

    private void RemoveExpired()
    {
        var now = time.GetUtcNow();
        while (_ends.Count > 0 && _ends.Min.Expires <= now) Remove(_ends.Min.Tenant, _ends.Min.Name);
    }

    private bool Remove(string tenant, string name)
    {
        if (!_tenants.TryGetValue(tenant, out var sets) || !sets.ByName.Remove(name, out var held)) return false;
        sets.Bytes -= held.Bytes;
        _bytes -= held.Bytes;
        if (held.Set.Expires is { } end) _ends.Remove((end, held.Number, tenant, name));
        if (sets.ByName.Count == 0) _tenants.Remove(tenant);
        return true;
    }

    private sealed record Held(StoredSet Set, Dictionary<string, VisualInput> Pictures, long Bytes, long Number);

    private sealed class TenantSets
    {
        public Dictionary<string, Held> ByName { get; } = new(StringComparer.Ordinal);

        public long Bytes { get; set; }
    }
}
