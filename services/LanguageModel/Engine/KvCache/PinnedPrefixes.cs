using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.KvCache;

/// <summary>Prefixes that are kept from eviction for a time: each is an owner of its blocks until it expires. At most half of the pool.</summary>
public sealed class PinnedPrefixes(BlockPool pool, TimeProvider time)
{
    private readonly Dictionary<BlockHash, (List<int> Blocks, DateTimeOffset Until)> _pins = [];

    /// <summary>Blocks held, those of nested prefixes counted once for each.</summary>
    public int Blocks { get; private set; }

    /// <summary>Whether a prefix of so many blocks may be pinned now.</summary>
    /// <exception cref="StageException">Overloaded, with the time at which the next pin ends.</exception>
    public void Check(BlockHash name, int blocks)
    {
        Expire();
        if (_pins.ContainsKey(name) || Blocks + blocks <= pool.Total / 2) return;
        var wait = _pins.Count > 0 ? _pins.Values.Min(pin => pin.Until) - time.GetUtcNow() : TimeSpan.FromSeconds(60);
        throw new StageException(StageErrorKind.Overloaded, $"Pinned prefixes hold {Blocks} of {pool.Total} blocks, and at most half may be pinned. Ask without pin_prefix, wait for a pin to end, or raise LanguageModel:KvCacheBytes.") { RetryAfter = wait };
    }

    /// <summary>Time until the next pin ends; null if there is none.</summary>
    public TimeSpan? NextEnd => _pins.Count == 0 ? null : TimeSpan.FromTicks(Math.Max(0, (_pins.Values.Min(pin => pin.Until) - time.GetUtcNow()).Ticks));

    /// <summary>Pins the blocks that hold these contents, or prolongs the pin that they have.</summary>
    /// <param name="chain">Names from the prompt's first block on.</param>
    public void Pin(IReadOnlyList<BlockHash> chain, PrefixIndex index, TimeSpan duration)
    {
        if (chain.Count == 0) return;
        var until = time.GetUtcNow() + duration;
        if (_pins.TryGetValue(chain[^1], out var known))
        {
            if (until > known.Until) _pins[chain[^1]] = (known.Blocks, until);
            return;
        }

        var blocks = new List<int>(chain.Count);
        foreach (var name in chain)
        {
            // a twin's block may have been evicted meanwhile, and a cached one may be all that is left of a promise
            if (index.Find(name) is not (>= 0 and var block) || (pool.IsCached(block) && pool.Available == 0)) break;
            pool.Share(block);
            blocks.Add(block);
        }

        _pins[chain[^1]] = (blocks, until);
        Blocks += blocks.Count;
    }

    /// <summary>Gives back what has had its time.</summary>
    public void Expire()
    {
        if (_pins.Count == 0) return;
        var now = time.GetUtcNow();
        foreach (var (name, pin) in _pins.Where(pin => pin.Value.Until <= now).ToList())
        {
            _pins.Remove(name);
            Blocks -= pin.Blocks.Count;
            for (var last = pin.Blocks.Count - 1; last >= 0; last--) pool.Return(pin.Blocks[last]);
        }
    }
}
