namespace Flamingo.Client.Pictures;

/// <summary>Ids of pictures that the service was last seen to hold; a bounded number, those not asked for longest forgotten first.</summary>
internal sealed class HeldPictures(int most)
{
    private readonly Lock _lock = new();
    private readonly LinkedList<string> _order = []; // last asked for last
    private readonly Dictionary<string, LinkedListNode<string>> _places = new(StringComparer.Ordinal);

    /// <summary>Asking keeps it for longer.</summary>
    public bool Contains(string id)
    {
        lock (_lock)
        {
            if (!_places.TryGetValue(id, out var place)) return false;
            _order.Remove(place);
            _order.AddLast(place);
            return true;
        }
    }

    public void Add(string id)
    {
        lock (_lock)
        {
            if (_places.ContainsKey(id)) return;
            _places[id] = _order.AddLast(id);
            if (_places.Count <= most) return;
            _places.Remove(_order.First!.Value);
            _order.RemoveFirst();
        }
    }

    public void Remove(string id)
    {
        lock (_lock)
        {
            if (_places.Remove(id, out var place)) _order.Remove(place);
        }
    }
}
