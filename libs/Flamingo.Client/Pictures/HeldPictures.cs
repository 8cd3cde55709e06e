namespace Flamingo.Client.Pictures;

/// <summary>
/// Ids of pictures that the service has acknowledged, per tenant. The number is bounded, and the least recently used id is
/// evicted first. MemoryCache is not used, because it evicts a share of its entries at a time, in the background and by
/// approximate age.
/// </summary>
internal sealed class HeldPictures(int most)
{
    private readonly Lock _lock = new();
    private readonly LinkedList<(string Tenant, string Id)> _order = []; // the most recently used entry is last
    private readonly Dictionary<(string Tenant, string Id), LinkedListNode<(string Tenant, string Id)>> _nodes = [];

    /// <summary>Whether the id is present; the lookup makes it the most recently used one.</summary>
    public bool Contains(string tenant, string id)
    {
        lock (_lock)
        {
            if (!_nodes.TryGetValue((tenant, id), out var node)) return false;
            _order.Remove(node);
            _order.AddLast(node);
            return true;
        }
    }

    public void Add(string tenant, string id)
    {
        lock (_lock)
        {
            if (_nodes.ContainsKey((tenant, id))) return;
            _nodes[(tenant, id)] = _order.AddLast((tenant, id));
            if (_nodes.Count <= most) return;
            _nodes.Remove(_order.First!.Value);
            _order.RemoveFirst();
        }
    }

    public void Remove(string tenant, string id)
    {
        lock (_lock)
        {
            if (_nodes.Remove((tenant, id), out var node)) _order.Remove(node);
        }
    }
}
