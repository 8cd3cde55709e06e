namespace Flamingo.LanguageModel.Engine.KvCache;

/// <summary>
/// Counts the owners of every block. A block is free, leased (it has owners: block tables and pins) or cached (it has none, but the
/// <see cref="PrefixCache"/> has a name for its content): free + leased + cached = total, always. A promise (<see cref="Reserve"/>) is a
/// number of blocks, not yet certain ones. Not thread-safe: the engine's loop owns it.
/// </summary>
/// <remarks>
/// The order of eviction is a linked list of the base class library with one node per block. A library's cache evicts by its own decision
/// when it is full; here blocks leave the list because they are shared again, and are evicted only when a promise is redeemed.
/// </remarks>
public sealed class BlockPool
{
    private readonly PrefixCache _prefixes;
    private readonly int[] _owners;
    private readonly Stack<int> _free;
    private readonly LinkedList<int> _cached = new(); // least recently used first
    private readonly LinkedListNode<int>[] _nodes;
    private int _reserved;

    public BlockPool(int total, PrefixCache prefixes)
    {
        (_prefixes, _owners) = (prefixes, new int[total]);
        _nodes = [.. Enumerable.Range(0, total).Select(block => new LinkedListNode<int>(block))];
        _free = new Stack<int>(Enumerable.Range(0, total).Reverse());
    }

    public int Total => _owners.Length;

    public int Free => _free.Count;

    public int Cached => _cached.Count;

    public int Leased { get; private set; }

    /// <summary>Blocks thrown out of the cache so far.</summary>
    public long Evictions { get; private set; }

    /// <summary>Blocks that could still be promised.</summary>
    public int Available => Free + Cached - _reserved;

    public int OwnersOf(int block) => _owners[block];

    public bool IsCached(int block) => _nodes[block].List is not null;

    /// <summary>Promises blocks; <see cref="Available"/> must suffice.</summary>
    public void Reserve(int count)
    {
        if (count > Available) throw new InvalidOperationException($"{count} blocks cannot be promised where {Available} are left.");
        _reserved += count;
    }

    public void Unreserve(int count) => _reserved -= count;

    /// <summary>One promised block, its content undefined: a free one, else the least recently used cached one.</summary>
    public int Take()
    {
        _reserved--;
        if (!_free.TryPop(out var block))
        {
            // Tables are returned from their ends, so no cached block continues the least recently used one.
            block = _cached.First!.Value;
            _cached.RemoveFirst();
            _prefixes.Forget(block);
            Evictions++;
        }

        (_owners[block], Leased) = (1, Leased + 1);
        return block;
    }

    /// <summary>One more owner of a block that is leased or cached.</summary>
    public void Share(int block)
    {
        if (_owners[block] == 0)
        {
            if (!IsCached(block)) throw new InvalidOperationException($"Block {block} is free and holds nothing to share.");
            _cached.Remove(_nodes[block]);
            Leased++;
        }

        _owners[block]++;
    }

    /// <returns>Whether that was its last owner.</returns>
    public bool Return(int block)
    {
        if (_owners[block] == 0) throw new InvalidOperationException($"Block {block} has no owner.");
        if (--_owners[block] > 0) return false;
        Leased--;
        if (_prefixes.Holds(block)) _cached.AddLast(_nodes[block]);
        else _free.Push(block);
        return true;
    }
}
