using System.Numerics;
using Flamingo.Abstractions;

namespace Flamingo.Gateway.Eviction;

/// <summary>
/// An in-memory cache with the W-TinyLFU policy, bounded by the bytes of its values. A new value enters a window. A value that
/// leaves the window is admitted to the main part only if its key was used more often than all the keys whose values would be
/// evicted for it. So a scan of many new keys passes through the window and evicts nothing else (Einziger, Friedman and Manes
/// 2017; for values of different sizes the victims' uses are added up, Einziger, Eytan, Friedman and Manes 2022). The value that
/// was put last is always held, unless it exceeds the bound. Safe for concurrent use.
/// </summary>
/// <remarks>
/// Two libraries were considered. BitFaster.Caching's W-TinyLFU is bounded by a number of values, but latents of pictures,
/// attention and embeddings differ in size by orders of magnitude. Microsoft.Extensions.Caching.Memory counts bytes, but a scan
/// evicts popular values from it.
/// </remarks>
/// <param name="mostBytes">Bound on the total size of all values, in bytes.</param>
/// <param name="sizeOf">Returns the size of a value in bytes; the result must not change.</param>
/// <param name="windowShare">
/// Share of the bytes that belongs to the window. A large window costs few hits if keys come in bursts and many hits if some keys
/// stay popular. With a tenth, all pictures of one large request are still held when the next request names them by id.
/// </param>
public sealed class TinyLfuCache<TValue>(
    long mostBytes, Func<TValue, long> sizeOf, double windowShare = 0.1, ulong seed = 0x666c_616d_696e_676f)
    where TValue : class
{
    private const double ProtectedShare = 0.8; // share of the main part, which is all bytes except the window
    private const int SamplePerEntry = 10;

    private readonly Lock _lock = new();
    private readonly Dictionary<string, LinkedListNode<Entry>> _entries = new(StringComparer.Ordinal);
    private readonly Segment _window = new();
    private readonly Segment _probation = new(); // values not used since they left the window
    // values used since then; the least recently used go back to probation before they are evicted
    private readonly Segment _protected = new();
    private readonly FrequencySketch _uses =
        new((int)BitOperations.RoundUpToPowerOf2((ulong)Math.Clamp(mostBytes / 2048, 1024, 1 << 20)), seed);

    private readonly long _windowBytes = (long)(mostBytes * windowShare);
    private (long Hits, long Misses, long Evictions, long Rejections) _counts;

    /// <summary>Total size of all held values in bytes, never above the bound.</summary>
    public long Bytes => Statistics.Bytes;

    public int Count => (int)Statistics.Entries;

    public MemoryTierStatistics Statistics
    {
        get
        {
            lock (_lock)
                return new MemoryTierStatistics(
                    _entries.Count, _window.Bytes + MainBytes, mostBytes,
                    _counts.Hits, _counts.Misses, _counts.Evictions, _counts.Rejections);
        }
    }

    private long MainBytes => _probation.Bytes + _protected.Bytes;

    /// <summary>Looks a value up. The call counts as a use of the key, even if it is absent, and as a hit or a miss.</summary>
    public TValue? Get(string key)
    {
        lock (_lock)
        {
            _uses.Add(key, SamplePerEntry * Math.Max(_entries.Count, 64));
            if (!_entries.TryGetValue(key, out var node))
            {
                _counts.Misses++;
                return null;
            }

            _counts.Hits++;
            MarkUsed(node);
            return node.Value.Value;
        }
    }

    /// <summary>Looks a value up without counting a use, a hit or a miss.</summary>
    public TValue? Peek(string key)
    {
        lock (_lock) return _entries.TryGetValue(key, out var node) ? node.Value.Value : null;
    }

    /// <summary>Adds a value, or replaces the value of the same key. A value larger than the whole bound is not kept.</summary>
    public void Put(string key, TValue value)
    {
        lock (_lock)
        {
            if (_entries.TryGetValue(key, out var old)) Remove(old);
            var node = new LinkedListNode<Entry>(new Entry(key, value, sizeOf(value)));
            if (node.Value.Bytes > mostBytes)
            {
                _counts.Rejections++;
                return;
            }

            _entries[key] = node;
            Move(node, _window);
            var mainCapacity = mostBytes - Math.Max(_windowBytes, node.Value.Bytes);
            while (_window.Bytes > _windowBytes && _window.ByUse.Count > 1) LeaveWindow(_window.ByUse.Last!, mainCapacity);
            while (MainBytes > mainCapacity) Evict(Victims().First());
        }
    }

    /// <returns>Number of values that were held.</returns>
    public long Clear()
    {
        lock (_lock)
        {
            var held = _entries.Count;
            _entries.Clear();
            foreach (var segment in new[] { _window, _probation, _protected })
            {
                segment.ByUse.Clear();
                segment.Bytes = 0;
            }

            return held;
        }
    }

    private void MarkUsed(LinkedListNode<Entry> node)
    {
        Move(node, node.Value.Segment == _window ? _window : _protected);
        while (_protected.Bytes > ProtectedShare * (mostBytes - _windowBytes) && _protected.ByUse.Count > 1)
            Move(_protected.ByUse.Last!, _probation);
    }

    private void LeaveWindow(LinkedListNode<Entry> candidate, long mainCapacity)
    {
        var (lead, free, victims) = (_uses.Estimate(candidate.Value.Key), mainCapacity - MainBytes, new List<LinkedListNode<Entry>>());
        foreach (var victim in Victims())
        {
            if (free >= candidate.Value.Bytes || (lead -= _uses.Estimate(victim.Value.Key)) <= 0) break;
            free += victim.Value.Bytes;
            victims.Add(victim);
        }

        if (free < candidate.Value.Bytes)
        {
            Remove(candidate);
            _counts.Rejections++;
            return;
        }

        foreach (var victim in victims) Evict(victim);
        Move(candidate, _probation);
    }

    // Returns entries of the main part in the order of eviction.
    private IEnumerable<LinkedListNode<Entry>> Victims()
    {
        for (var node = _probation.ByUse.Last; node is not null; node = node.Previous) yield return node;
        for (var node = _protected.ByUse.Last; node is not null; node = node.Previous) yield return node;
    }

    private void Evict(LinkedListNode<Entry> victim)
    {
        Remove(victim);
        _counts.Evictions++;
    }

    private void Remove(LinkedListNode<Entry> node)
    {
        _entries.Remove(node.Value.Key);
        Move(node, null);
    }

    private static void Move(LinkedListNode<Entry> node, Segment? to)
    {
        var entry = node.Value;
        if (entry.Segment is { } from)
        {
            from.ByUse.Remove(node);
            from.Bytes -= entry.Bytes;
        }

        entry.Segment = to;
        if (to is null) return;
        to.ByUse.AddFirst(node);
        to.Bytes += entry.Bytes;
    }

    private sealed class Entry(string key, TValue value, long bytes)
    {
        public string Key => key;

        public TValue Value => value;

        public long Bytes => bytes;

        public Segment? Segment { get; set; }
    }

    private sealed class Segment
    {
        /// <summary>Entries, the most recently used first.</summary>
        public LinkedList<Entry> ByUse { get; } = new();

        public long Bytes { get; set; }
    }
}
