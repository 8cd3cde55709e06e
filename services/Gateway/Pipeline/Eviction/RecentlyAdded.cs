namespace Flamingo.Gateway.Eviction;

/// <summary>
/// A map with a bounded number of entries and, if wanted, of bytes. When it is full, adding an entry evicts those that were added
/// the longest ago. Adding a key again makes it the newest; reading it does not. Safe for concurrent use.
/// </summary>
/// <remarks>
/// The LRU caches of BitFaster.Caching cannot replace it: they count each read as a use, so that an entry that is only read would
/// never expire.
/// </remarks>
/// <param name="most">Largest number of entries.</param>
/// <param name="mostBytes">Largest size of all values together; a larger value is not kept.</param>
/// <param name="bytesOf">Returns the size of a value in bytes; null counts every value as 0.</param>
public sealed class RecentlyAdded<TValue>(int most, long mostBytes = long.MaxValue, Func<TValue, long>? bytesOf = null)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, LinkedListNode<(string Key, TValue Value)>> _nodes = new(StringComparer.Ordinal);
    private readonly LinkedList<(string Key, TValue Value)> _newestFirst = new();
    private long _bytes;

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
            Remove(key);
            _nodes[key] = _newestFirst.AddFirst((key, value));
            _bytes += BytesOf(value);
            while (_nodes.Count > most || _bytes > mostBytes) Remove(_newestFirst.Last!.Value.Key);
        }
    }

    public void Remove(string key)
    {
        lock (_lock)
        {
            if (!_nodes.Remove(key, out var node)) return;
            _newestFirst.Remove(node);
            _bytes -= BytesOf(node.Value.Value);
        }
    }

    private long BytesOf(TValue value) => bytesOf?.Invoke(value) ?? 0;
}
