namespace Flamingo.Fixtures.Caching;

/// <summary>
/// A cache with a size limit in bytes that evicts the least recently used entry first. The gateway's memory cache is compared with it.
/// </summary>
/// <param name="size">Returns the size of a value in bytes.</param>
public sealed class PlainLru<T>(long mostBytes, Func<T, int> size)
    where T : class
{
    private readonly Dictionary<string, LinkedListNode<(string Key, T Value)>> _entries = [];
    private readonly LinkedList<(string Key, T Value)> _byUse = new();
    private long _bytes;

    public T? Get(string key)
    {
        if (!_entries.TryGetValue(key, out var node)) return null;
        _byUse.Remove(node);
        _byUse.AddFirst(node);
        return node.Value.Value;
    }

    /// <summary>Adds a value under a key that is not in the cache.</summary>
    public void Put(string key, T value)
    {
        for (_bytes += size(value); _bytes > mostBytes && _byUse.Last is { } oldest; _byUse.RemoveLast())
        {
            _entries.Remove(oldest.Value.Key);
            _bytes -= size(oldest.Value.Value);
        }

        _entries[key] = _byUse.AddFirst((key, value));
    }
}
