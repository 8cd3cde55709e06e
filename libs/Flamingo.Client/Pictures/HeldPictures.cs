namespace Flamingo.Client.Pictures;

/// <summary>
/// Ids of pictures that the service was last seen to hold, per tenant; a bounded number, and the one that was not asked for longest
/// is forgotten first. By hand, because MemoryCache evicts a share of its entries at a time in the background, by approximate age.
/// </summary>
internal sealed class HeldPictures(int most)
{
    private readonly Lock _lock = new();
    private readonly LinkedList<(string Tenant, string Id)> _order = []; // last asked for last
    private readonly Dictionary<(string Tenant, string Id), LinkedListNode<(string Tenant, string Id)>> _places = [];

    /// <summary>Asking keeps it for longer.</summary>
    public bool Contains(string tenant, string id)
    {
        lock (_lock)
        {
            if (!_places.TryGetValue((tenant, id), out var place)) return false;
            _order.Remove(place);
            _order.AddLast(place);
            return true;
        }
    }

    public void Add(string tenant, string id)
    {
        lock (_lock)
        {
            if (_places.ContainsKey((tenant, id))) return;
            _places[(tenant, id)] = _order.AddLast((tenant, id));
            if (_places.Count <= most) return;
            _places.Remove(_order.First!.Value);
            _order.RemoveFirst();
        }
    }

    public void Remove(string tenant, string id)
    {
        lock (_lock)
        {
            if (_places.Remove((tenant, id), out var place)) _order.Remove(place);
        }
    }
}
