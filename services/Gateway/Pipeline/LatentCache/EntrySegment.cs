namespace Flamingo.Gateway.LatentCache;

internal sealed class HeldEntry(string key, LatentEntry entry)
{
    public string Key => key;

    public LatentEntry Entry => entry;

    public long Size => entry.Latents.Tensor.Bytes.Length;

    public EntrySegment? Segment { get; set; }
}

/// <summary>Entries by use, most recent first, and their bytes.</summary>
internal sealed class EntrySegment
{
    private readonly LinkedList<HeldEntry> _byUse = new();

    public long Bytes { get; private set; }

    public int Count => _byUse.Count;

    public LinkedListNode<HeldEntry>? Last => _byUse.Last;

    public void AddFirst(LinkedListNode<HeldEntry> node)
    {
        _byUse.AddFirst(node);
        Bytes += node.Value.Size;
    }

    public void Remove(LinkedListNode<HeldEntry> node)
    {
        _byUse.Remove(node);
        Bytes -= node.Value.Size;
    }

    public void Clear()
    {
        _byUse.Clear();
        Bytes = 0;
    }
}
