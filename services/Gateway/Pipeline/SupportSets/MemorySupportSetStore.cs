using System.Globalization;
using Flamingo.Abstractions;
using Flamingo.Gateway.Tenants;
using Flamingo.Stages;

namespace Flamingo.Gateway.SupportSets;

/// <summary>
/// Keeps support sets in the memory of this process, for installations without Redis. The sets are lost when the process ends.
/// </summary>
public sealed class MemorySupportSetStore(SupportSetOptions options, TimeProvider time) : ISupportSetStore
{
    private readonly Lock _lock = new();
    private readonly Dictionary<(string Tenant, string Name), (StoredSet Set, NewSet Source, long Bytes)> _sets = [];
    private long _bytes;
    private long _revision;

    public Task<StoredSet?> GetAsync(Tenant tenant, string name, CancellationToken cancellation)
    {
        lock (_lock)
        {
            RemoveExpired();
            return Task.FromResult(_sets.TryGetValue((tenant.Digest, name), out var held) ? held.Set : null);
        }
    }

    public Task<IReadOnlyDictionary<string, VisualInput>> GetPicturesAsync(
        Tenant tenant, StoredSet set, IReadOnlyCollection<string> ids, CancellationToken cancellation)
    {
        lock (_lock)
        {
            var files = _sets.TryGetValue((tenant.Digest, set.Name), out var held) && held.Set.Revision == set.Revision
                ? held.Source.Pictures : new Dictionary<string, VisualInput>();
            return Task.FromResult<IReadOnlyDictionary<string, VisualInput>>(
                ids.Where(files.ContainsKey).ToDictionary(id => id, id => files[id], StringComparer.Ordinal));
        }
    }

    public Task<StoredSet> PutAsync(Tenant tenant, NewSet set, long? expectedVersion, CancellationToken cancellation)
    {
        lock (_lock)
        {
            RemoveExpired();
            var key = (tenant.Digest, set.Name);
            var bytes = set.Pictures.Values.Sum(picture => picture.Files.Sum(file => (long)file.Length));
            var old = _sets.GetValueOrDefault(key);
            var version = old.Set?.Version ?? 0;
            if (expectedVersion is { } expected && expected != version) throw SupportSetRefusals.Conflict(set.Name, expected, version);
            if (old.Set is null && _sets.Keys.Count(other => other.Tenant == tenant.Digest) >= options.MaxSets)
                throw SupportSetRefusals.Full($"SupportSets:MaxSets is {options.MaxSets}");
            if (_bytes - old.Bytes + bytes > options.MaxMemoryBytes)
                throw SupportSetRefusals.Full($"SupportSets:MaxMemoryBytes is {options.MaxMemoryBytes}");
            var stored = set.As(version + 1, (++_revision).ToString(CultureInfo.InvariantCulture));
            _sets[key] = (stored, set, bytes);
            _bytes += bytes - old.Bytes;
            return Task.FromResult(stored);
        }
    }

    public Task<IReadOnlyList<StoredSet>> ListAsync(Tenant tenant, CancellationToken cancellation)
    {
        lock (_lock)
        {
            RemoveExpired();
            var sets = _sets.Where(held => held.Key.Tenant == tenant.Digest).Select(held => held.Value.Set with { Shots = [] });
            return Task.FromResult<IReadOnlyList<StoredSet>>([.. sets.OrderBy(set => set.Name, StringComparer.Ordinal)]);
        }
    }

    public Task<bool> DeleteAsync(Tenant tenant, string name, CancellationToken cancellation)
    {
        lock (_lock)
        {
            RemoveExpired();
            return Task.FromResult(Remove((tenant.Digest, name)));
        }
    }

    private void RemoveExpired()
    {
        var now = time.GetUtcNow();
        foreach (var key in _sets.Where(held => held.Value.Set.Expires <= now).Select(held => held.Key).ToList()) Remove(key);
    }

    private bool Remove((string Tenant, string Name) key)
    {
        if (!_sets.Remove(key, out var held)) return false;
        _bytes -= held.Bytes;
        return true;
    }
}
