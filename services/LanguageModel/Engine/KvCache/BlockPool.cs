namespace Flamingo.LanguageModel.Engine.KvCache;

/// <summary>
/// Counts the owners of every block. A block is free, leased (it has owners: block tables and pins) or cached (it has none, but the
/// <see cref="PrefixCache"/> has the hash of its content). The numbers of free, leased and cached blocks always add up to the
/// total. A reservation (<see cref="Reserve"/>) is a number of blocks; which blocks they are is decided by <see cref="Take"/>.
/// Not thread-safe: the engine's loop owns it.
/// </summary>
/// <remarks>
/// The order of eviction is a linked list of the base class library with one node per block. A cache library decides by itself
/// when to evict. Here a block leaves the list when it is shared again, and is evicted only when a reserved block is taken.
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

    /// <summary>Number of blocks evicted from the cache since the start.</summary>
    public long Evictions { get; private set; }

    /// <summary>Number of blocks that can still be reserved.</summary>
    public int Available => Free + Cached - _reserved;

    public int OwnersOf(int block) => _owners[block];

    public bool IsCached(int block) => _nodes[block].List is not null;

    /// <summary>Reserves blocks; at least <paramref name="count"/> must be <see cref="Available"/>.</summary>
    public void Reserve(int count)
    {
        if (count > Available)
            throw new InvalidOperationException($"{count} blocks cannot be reserved because only {Available} are available.");
        _reserved += count;
    }

    public void Unreserve(int count) => _reserved -= count;

    /// <summary>Takes one reserved block, whose content is undefined: a free block, or else the least recently used cached block.</summary>
    public int Take()
    {
        _reserved--;
        if (!_free.TryPop(out var block))
        {
            // Sequences return their last block first, so the least recently used block is never the beginning of another cached block.
            block = _cached.First!.Value;
            _cached.RemoveFirst();
            _prefixes.Forget(block);
            Evictions++;
        }

        (_owners[block], Leased) = (1, Leased + 1);
        return block;
    }

    /// <summary>Adds one owner to a block that is leased or cached.</summary>
    public void Share(int block)
    {
        if (_owners[block] == 0)
        {
            if (!IsCached(block)) throw new InvalidOperationException($"Block {block} is free and cannot be shared.");
            _cached.Remove(_nodes[block]);
            Leased++;
        }

        _owners[block]++;
    }

    /// <returns>Whether the block has no owner any more.</returns>
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
