namespace Flamingo.Gateway.Delivery;

/// <summary>Latent keys that the language model is believed to hold: those delivered lately, a bounded number, least recently used forgotten first.</summary>
public sealed class DeliveredKeys(int most)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, LinkedListNode<string>> _places = new(StringComparer.Ordinal);
    private readonly LinkedList<string> _byUse = new(); // most recent first

    public int Count
    {
        get
        {
            lock (_lock) return _places.Count;
        }
    }

    public bool Contains(string key)
    {
        lock (_lock) return _places.ContainsKey(key);
    }

    public void Add(string key)
    {
        lock (_lock)
        {
            if (_places.Remove(key, out var old)) _byUse.Remove(old);
            _places[key] = _byUse.AddFirst(key);
            if (_places.Count <= most) return;
            _places.Remove(_byUse.Last!.Value);
            _byUse.RemoveLast();
        }
    }

    public void Remove(string key)
    {
        lock (_lock)
        {
            if (_places.Remove(key, out var place)) _byUse.Remove(place);
        }
    }
}
