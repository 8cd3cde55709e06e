namespace Flamingo.Gateway.Eviction;

/// <summary>
/// A bounded number of values by key. One more value drops the one whose addition is the longest ago; adding a key again makes it the
/// newest, reading it does not. Safe for use by several threads.
/// </summary>
/// <remarks>
/// BitFaster.Caching's LRU maps are no replacement: each of their reads counts as a use, and a belief that is only looked at would stay.
/// </remarks>
/// <param name="most">Number of values that are kept.</param>
public sealed class RecentlyAdded<TValue>(int most)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, LinkedListNode<(string Key, TValue Value)>> _places = new(StringComparer.Ordinal);
    private readonly LinkedList<(string Key, TValue Value)> _newestFirst = new();

    public int Count
    {
        get
        {
            lock (_lock) return _places.Count;
        }
    }

    /// <returns>The default value of the type where the key is not there.</returns>
    public TValue? Find(string key)
    {
        lock (_lock) return _places.TryGetValue(key, out var place) ? place.Value.Value : default;
    }

    public void Add(string key, TValue value)
    {
        lock (_lock)
        {
            if (_places.Remove(key, out var old)) _newestFirst.Remove(old);
            _places[key] = _newestFirst.AddFirst((key, value));
            if (_places.Count <= most) return;
            _places.Remove(_newestFirst.Last!.Value.Key);
            _newestFirst.RemoveLast();
        }
    }

    public void Remove(string key)
    {
        lock (_lock)
        {
            if (_places.Remove(key, out var place)) _newestFirst.Remove(place);
        }
    }
}
