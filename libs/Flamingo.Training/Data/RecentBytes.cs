namespace Flamingo.Training.Data;

/// <summary>Holds arrays by name up to a number of bytes; the one that was used longest ago makes room. Not thread-safe.</summary>
internal sealed class RecentBytes<TKey>(long most) where TKey : notnull
{
    private readonly Dictionary<TKey, LinkedListNode<(TKey Key, byte[] Bytes)>> _items = [];
    private readonly LinkedList<(TKey Key, byte[] Bytes)> _order = []; // the most recent first

    /// <summary>Bytes that are held.</summary>
    public long Held { get; private set; }

    public byte[]? Find(TKey key)
    {
        if (!_items.TryGetValue(key, out var node)) return null;
        _order.Remove(node);
        _order.AddFirst(node);
        return node.Value.Bytes;
    }

    public void Add(TKey key, byte[] bytes)
    {
        if (_items.ContainsKey(key) || bytes.Length > most) return;
        _items[key] = _order.AddFirst((key, bytes));
        Held += bytes.Length;
        while (Held > most) Remove(_order.Last!.Value.Key);
    }

    public void Remove(TKey key)
    {
        if (!_items.Remove(key, out var node)) return;
        _order.Remove(node);
        Held -= node.Value.Bytes.Length;
    }
}
