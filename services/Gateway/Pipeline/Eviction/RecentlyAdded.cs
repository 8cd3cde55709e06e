namespace Flamingo.Gateway.Eviction;

/// <summary>
/// A map with a bounded number of entries. When it is full, adding an entry evicts the one that was added the longest ago. Adding
/// a key again makes it the newest; reading it does not. Safe for concurrent use.
/// </summary>
/// <remarks>
/// The LRU caches of BitFaster.Caching cannot replace it: they count each read as a use, so that an entry that is only read would
/// never expire.
/// </remarks>
/// <param name="most">Largest number of entries.</param>
public sealed class RecentlyAdded<TValue>(int most)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, LinkedListNode<(string Key, TValue Value)>> _nodes = new(StringComparer.Ordinal);
    private readonly LinkedList<(string Key, TValue Value)> _newestFirst = new();

    public int Count
    {
        get
        {
            lock (_lock) return _nodes.Count;
        }
    }

    /// <returns>The value, or the default of its type if the key is absent.</returns>
    public TValue? Find(string key)
    {
        lock (_lock) return _nodes.TryGetValue(key, out var node) ? node.Value.Value : default;
    }

    public void Add(string key, TValue value)
    {
        lock (_lock)
        {
            if (_nodes.Remove(key, out var old)) _newestFirst.Remove(old);
            _nodes[key] = _newestFirst.AddFirst((key, value));
            if (_nodes.Count <= most) return;
            _nodes.Remove(_newestFirst.Last!.Value.Key);
            _newestFirst.RemoveLast();
        }
    }

    public void Remove(string key)
    {
        lock (_lock)
        {
            if (_nodes.Remove(key, out var node)) _newestFirst.Remove(node);
        }
    }
}
