using System.Numerics;
using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Gateway.LatentCache;

/// <summary>
/// The tier in this process, bounded by bytes: W-TinyLFU. What is new enters a window; what the window lets go stays only
/// if it was asked for more often than all that would have to leave for it, so that a scan passes through the window and
/// flushes nothing (Einziger, Friedman and Manes 2017; for values of different sizes, their victims counted together,
/// Einziger, Eytan, Friedman and Manes 2022). Whatever was put last is held.
/// </summary>
/// <param name="mostBytes">Of latents.</param>
/// <param name="windowShare">Share of the bytes that the new has to itself: little costs hits where pictures come in bursts, much where some are popular for long. At a tenth, all pictures of one large request are still held when the next names them by id.</param>
public sealed class MemoryLatentCache(long mostBytes, double windowShare = 0.1, ulong seed = 0x666c_616d_696e_676f)
{
    private const double ProtectedShare = 0.8; // of what the window leaves
    private const int SamplePerEntry = 10;

    private readonly Lock _lock = new();
    private readonly Dictionary<string, LinkedListNode<HeldEntry>> _entries = new(StringComparer.Ordinal);
    private readonly EntrySegment _window = new();
    private readonly EntrySegment _probation = new(); // used once since they came
    private readonly EntrySegment _protected = new(); // used again; falls back to probation before it leaves
    private readonly FrequencySketch _frequencies = new((int)BitOperations.RoundUpToPowerOf2((ulong)Math.Clamp(mostBytes / 2048, 1024, 1 << 20)), seed);
    private readonly long _windowBytes = (long)(mostBytes * windowShare);
    private (long Hits, long Misses, long Evictions, long Rejections) _counts;

    /// <summary>Bytes of latents held; never above the bound.</summary>
    public long Bytes => Statistics.Bytes;

    public int Count => (int)Statistics.Entries;

    public MemoryTierStatistics Statistics
    {
        get
        {
            lock (_lock) return new MemoryTierStatistics(_entries.Count, _window.Bytes + Main, mostBytes, _counts.Hits, _counts.Misses, _counts.Evictions, _counts.Rejections);
        }
    }

    private long Main => _probation.Bytes + _protected.Bytes;

    public LatentEntry? Get(string key)
    {
        lock (_lock)
        {
            _frequencies.Add(key, SamplePerEntry * Math.Max(_entries.Count, 64));
            if (!_entries.TryGetValue(key, out var node))
            {
                _counts.Misses++;
                return null;
            }

            _counts.Hits++;
            Use(node);
            return node.Value.Entry;
        }
    }

    /// <summary>The same without a trace.</summary>
    public LatentEntry? Peek(string key)
    {
        lock (_lock) return _entries.TryGetValue(key, out var node) ? node.Value.Entry : null;
    }

    /// <summary>A value larger than the whole bound is not kept.</summary>
    public void Put(string key, LatentEntry entry)
    {
        lock (_lock)
        {
            if (_entries.TryGetValue(key, out var old)) Forget(old);
            var node = new LinkedListNode<HeldEntry>(new HeldEntry(key, entry));
            if (node.Value.Size > mostBytes)
            {
                _counts.Rejections++;
                return;
            }

            _entries[key] = node;
            Move(node, _window);
            var room = mostBytes - Math.Max(_windowBytes, node.Value.Size); // for all but the window
            while (_window.Bytes > _windowBytes && _window.Count > 1) LeaveWindow(_window.Last!, room);
            while (Main > room) Evict(Victims().First());
        }
    }

    /// <returns>Entries that were held.</returns>
    public long Clear()
    {
        lock (_lock)
        {
            var held = _entries.Count;
            _entries.Clear();
            foreach (var segment in new[] { _window, _probation, _protected }) segment.Clear();
            return held;
        }
    }

    private void Use(LinkedListNode<HeldEntry> node)
    {
        Move(node, node.Value.Segment == _window ? _window : _protected);
        while (_protected.Bytes > ProtectedShare * (mostBytes - _windowBytes) && _protected.Count > 1) Move(_protected.Last!, _probation);
    }

    private void LeaveWindow(LinkedListNode<HeldEntry> candidate, long room)
    {
        var (fame, free, victims) = (_frequencies.Estimate(candidate.Value.Key), room - Main, new List<LinkedListNode<HeldEntry>>());
        foreach (var victim in Victims())
        {
            if (free >= candidate.Value.Size || (fame -= _frequencies.Estimate(victim.Value.Key)) <= 0) break;
            free += victim.Value.Size;
            victims.Add(victim);
        }

        if (free < candidate.Value.Size)
        {
            Forget(candidate);
            _counts.Rejections++;
            return;
        }

        foreach (var victim in victims) Evict(victim);
        Move(candidate, _probation);
    }

    // in the order in which they leave
    private IEnumerable<LinkedListNode<HeldEntry>> Victims()
    {
        for (var node = _probation.Last; node is not null; node = node.Previous) yield return node;
        for (var node = _protected.Last; node is not null; node = node.Previous) yield return node;
    }

    private void Evict(LinkedListNode<HeldEntry> victim)
    {
        Forget(victim);
        _counts.Evictions++;
    }

    private void Forget(LinkedListNode<HeldEntry> node)
    {
        _entries.Remove(node.Value.Key);
        Move(node, null);
    }

    private static void Move(LinkedListNode<HeldEntry> node, EntrySegment? to)
    {
        node.Value.Segment?.Remove(node);
        node.Value.Segment = to;
        to?.AddFirst(node);
    }
}
