using Flamingo.Gateway.Latents;

namespace Flamingo.Bench.Caching;

/// <summary>The plain twin of the memory tier: bounded by bytes, least recently used leaves first.</summary>
internal sealed class PlainLru(long mostBytes)
{
    private readonly Dictionary<string, LinkedListNode<(string Key, LatentValue Entry)>> _entries = [];
    private readonly LinkedList<(string Key, LatentValue Entry)> _byUse = new();
    private long _bytes;

    public LatentValue? Get(string key)
    {
        if (!_entries.TryGetValue(key, out var node)) return null;
        _byUse.Remove(node);
        _byUse.AddFirst(node);
        return node.Value.Entry;
    }

    public void Put(string key, LatentValue entry)
    {
        for (_bytes += Size(entry); _bytes > mostBytes && _byUse.Last is { } oldest; _byUse.RemoveLast())
        {
            _entries.Remove(oldest.Value.Key);
            _bytes -= Size(oldest.Value.Entry);
        }

        _entries[key] = _byUse.AddFirst((key, entry));
    }

    private static int Size(LatentValue entry) => entry.Latents.Tensor.Bytes.Length;
}
