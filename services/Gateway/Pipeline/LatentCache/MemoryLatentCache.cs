namespace Flamingo.Gateway.LatentCache;

/// <summary>The tier in this process: bounded by bytes, least recently used leaves first.</summary>
public sealed class MemoryLatentCache(long mostBytes)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, LinkedListNode<(string Key, LatentEntry Entry)>> _entries = new(StringComparer.Ordinal);
    private readonly LinkedList<(string Key, LatentEntry Entry)> _byUse = new(); // most recent first

    /// <summary>Bytes of latents held; never above the bound.</summary>
    public long Bytes { get; private set; }

    public int Count
    {
        get
        {
            lock (_lock) return _entries.Count;
        }
    }

    public LatentEntry? Get(string key)
    {
        lock (_lock)
        {
            if (!_entries.TryGetValue(key, out var node)) return null;
            _byUse.Remove(node);
            _byUse.AddFirst(node);
            return node.Value.Entry;
        }
    }

    /// <summary>A value larger than the whole bound is not kept.</summary>
    public void Put(string key, LatentEntry entry)
    {
        lock (_lock)
        {
            if (_entries.Remove(key, out var old)) Forget(old);
            var size = entry.Latents.Tensor.Bytes.Length;
            if (size > mostBytes) return;
            while (Bytes + size > mostBytes)
            {
                var oldest = _byUse.Last!;
                _entries.Remove(oldest.Value.Key);
                Forget(oldest);
            }

            _entries[key] = _byUse.AddFirst((key, entry));
            Bytes += size;
        }
    }

    private void Forget(LinkedListNode<(string Key, LatentEntry Entry)> node)
    {
        _byUse.Remove(node);
        Bytes -= node.Value.Entry.Latents.Tensor.Bytes.Length;
    }
}
