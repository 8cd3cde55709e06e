namespace Flamingo.LanguageModel.Engine.Pictures;

/// <summary>
/// Records which slot holds the cross-attention keys and values of which picture. Pictures go by their <see cref="PictureName"/>, so that
/// a slot never holds another value than the one that a request means. A picture is projected once and shared by all
/// sequences. It is never evicted while it is leased; the other pictures are evicted least recently used first. Any thread may
/// look pictures up; only the engine's loop changes them.
/// </summary>
/// <remarks>
/// The order of eviction is a linked list of the base class library. A cache library cannot protect leased entries from eviction,
/// and assigns no slot numbers.
/// </remarks>
public sealed class PictureMemory
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, Entry> _entries = new(StringComparer.Ordinal);
    private readonly LinkedList<Entry> _idle = new(); // least recently used first
    private readonly Stack<int> _free;

    public PictureMemory(int slots)
    {
        Slots = slots;
        _free = new Stack<int>(Enumerable.Range(0, slots).Reverse());
    }

    public int Slots { get; }

    /// <summary>Number of slots that a running request reads.</summary>
    public int Leased
    {
        get
        {
            lock (_lock) return _entries.Count - _idle.Count;
        }
    }

    /// <summary>Number of slots that hold a picture which no running request reads.</summary>
    public int Idle
    {
        get
        {
            lock (_lock) return _idle.Count;
        }
    }

    public bool Holds(string key)
    {
        lock (_lock) return _entries.ContainsKey(key);
    }

    /// <summary>Whether slots for all these keys could be leased now.</summary>
    /// <param name="leave">Number of slots that must then still be available, unless every key is held already.</param>
    public bool CanLease(IReadOnlyCollection<string> keys, int leave = 0)
    {
        lock (_lock)
        {
            var held = keys.Where(_entries.ContainsKey).Select(key => _entries[key]).ToList();
            return keys.Count == held.Count
                || keys.Count - held.Count + leave <= _free.Count + _idle.Count - held.Count(entry => entry.Owners == 0);
        }
    }

    /// <summary>Leases a slot for every key. Call it only if <see cref="CanLease"/> returned true.</summary>
    /// <param name="keys">Distinct names.</param>
    public PictureLease Lease(IReadOnlyCollection<string> keys)
    {
        lock (_lock)
        {
            var (slots, fresh) = (new Dictionary<string, int>(StringComparer.Ordinal), new List<string>());
            // Slots that hold a picture already are leased first: a new picture must not evict another picture of the same request.
            foreach (var key in keys.Where(_entries.ContainsKey))
            {
                var entry = _entries[key];
                if (entry.Owners++ == 0) _idle.Remove(entry.Node);
                slots[key] = entry.Slot;
            }

            foreach (var key in keys.Where(key => !slots.ContainsKey(key)))
            {
                if (!_free.TryPop(out var slot)) slot = Evict();
                _entries[key] = new Entry(key, slot) { Owners = 1 };
                slots[key] = slot;
                fresh.Add(key);
            }

            return new PictureLease(this, slots, fresh);
        }
    }

    /// <summary>
    /// Frees the slot of a picture that a failed step may not have written, so that the next request that uses the picture
    /// projects it again.
    /// </summary>
    public void Forget(string key)
    {
        lock (_lock)
        {
            if (!_entries.TryGetValue(key, out var entry) || entry.Owners > 0) return;
            _entries.Remove(key);
            _idle.Remove(entry.Node);
            _free.Push(entry.Slot);
        }
    }

    internal void Return(IEnumerable<string> keys)
    {
        lock (_lock)
        {
            foreach (var key in keys)
            {
                var entry = _entries[key];
                if (--entry.Owners == 0) _idle.AddLast(entry.Node);
            }
        }
    }

    private int Evict()
    {
        var oldest = _idle.First?.Value ?? throw new InvalidOperationException("All picture slots are leased.");
        _idle.RemoveFirst();
        _entries.Remove(oldest.Key);
        return oldest.Slot;
    }

    private sealed class Entry
    {
        public Entry(string key, int slot) => (Key, Slot, Node) = (key, slot, new LinkedListNode<Entry>(this));

        public string Key { get; }

        public int Slot { get; }

        public int Owners { get; set; }

        public LinkedListNode<Entry> Node { get; }
    }
}

/// <summary>The picture slots of one request. Disposing the lease returns them.</summary>
/// <param name="slots">Slot numbers by name.</param>
/// <param name="fresh">Names whose slots must be projected before they are read.</param>
public sealed class PictureLease(PictureMemory memory, IReadOnlyDictionary<string, int> slots, IReadOnlyList<string> fresh) : IDisposable
{
    private bool _disposed;

    public IReadOnlyDictionary<string, int> Slots { get; } = slots;

    public IReadOnlyList<string> Fresh { get; } = fresh;

    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        memory.Return(Slots.Keys);
    }
}
