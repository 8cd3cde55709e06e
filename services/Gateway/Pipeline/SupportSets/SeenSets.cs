namespace Flamingo.Gateway.SupportSets;

/// <summary>Sets that this process has read or made lately; a bounded number, the oldest forgotten first.</summary>
internal sealed class SeenSets
{
    private const int Most = 64;
    private readonly Lock _lock = new();
    private readonly List<(string Key, StoredSet Set)> _sets = [];

    public StoredSet? Get(string key)
    {
        lock (_lock) return _sets.Find(seen => seen.Key == key).Set;
    }

    public void Put(string key, StoredSet set)
    {
        lock (_lock)
        {
            _sets.RemoveAll(seen => seen.Key == key);
            _sets.Add((key, set));
            if (_sets.Count > Most) _sets.RemoveAt(0);
        }
    }

    public void Remove(string key)
    {
        lock (_lock) _sets.RemoveAll(seen => seen.Key == key);
    }
}
