using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.KvCache;

/// <summary>
/// Prefixes that are protected from eviction for a time. Each pin is an owner of its blocks until it expires. At most half of the
/// pool may be pinned; the prefix that a request will pin counts from the request's admission.
/// </summary>
public sealed class PinnedPrefixes(BlockPool pool, PrefixCache prefixes, TimeProvider time)
{
    private readonly Dictionary<BlockHash, Pin> _pins = []; // by the hash of the last block

    /// <summary>
    /// Number of blocks that are pinned or will be pinned by running requests. A block of several nested prefixes counts once for
    /// each.
    /// </summary>
    public int Blocks { get; private set; }

    /// <summary>Largest number of blocks that may be pinned at once by all prefixes together.</summary>
    public static int MostBlocks(int poolBlocks) => poolBlocks / 2;

    /// <summary>Time until the next pin expires, not counting pins that a running request will extend; null if there is none.</summary>
    public TimeSpan? NextEnd
    {
        get
        {
            var ends = _pins.Values.Where(pin => pin.Askers == 0).Select(pin => pin.Until).ToList();
            return ends.Count == 0 ? null : TimeSpan.FromTicks(Math.Max(0, (ends.Min() - time.GetUtcNow()).Ticks));
        }
    }

    /// <summary>
    /// Makes sure that the prefix of an admitted request can be pinned when the request ends. Call afterwards <see cref="Keep"/> or <see
    /// cref="Withdraw"/>.
    /// </summary>
    /// <param name="chain">Hashes of the prompt's full blocks, from the first on.</param>
    /// <exception cref="FlamingoException">Overloaded, with the time until the next pin expires.</exception>
    public void Promise(IReadOnlyList<BlockHash> chain)
    {
        if (chain.Count == 0) return;
        if (!_pins.TryGetValue(chain[^1], out var pin))
        {
            if (Blocks + chain.Count > MostBlocks(pool.Total))
                throw new FlamingoException(
                    FlamingoErrorKind.Overloaded,
                    $"Pinned prefixes hold {Blocks} of {pool.Total} blocks, and at most half may be pinned. Ask without pin_prefix, wait "
                    + "until a pin expires, or raise LanguageModel:KvCacheBytes.") { RetryAfter = NextEnd ?? TimeSpan.FromSeconds(1) };
            _pins[chain[^1]] = pin = new Pin(chain.Count);
            Blocks += chain.Count;
        }

        pin.Askers++;
    }

    /// <summary>
    /// Pins the blocks that hold these contents, or extends their pin. Call it directly after the blocks were returned, before
    /// any can be evicted.
    /// </summary>
    public void Keep(IReadOnlyList<BlockHash> chain, TimeSpan duration)
    {
        if (chain.Count == 0) return;
        var (pin, until) = (_pins[chain[^1]], time.GetUtcNow() + duration);
        pin.Askers--;
        if (until > pin.Until) pin.Until = until;
        if (pin.Held.Count > 0) return;
        foreach (var block in chain.Select(prefixes.Find))
        {
            pool.Share(block);
            pin.Held.Add(block);
        }
    }

    /// <summary>Cancels the pin of a request that has failed. A pin that another request set stays.</summary>
    public void Withdraw(IReadOnlyList<BlockHash> chain)
    {
        if (chain.Count == 0) return;
        var pin = _pins[chain[^1]];
        if (--pin.Askers == 0 && pin.Held.Count == 0) Remove(chain[^1], pin);
    }

    /// <summary>Returns the blocks of the pins that have expired.</summary>
    /// <returns>Number of pins that have expired.</returns>
    public int Expire()
    {
        if (_pins.Count == 0) return 0;
        var now = time.GetUtcNow();
        var ended = _pins.Where(pin => pin.Value.Askers == 0 && pin.Value.Until <= now).ToList();
        foreach (var (name, pin) in ended) Remove(name, pin);
        return ended.Count;
    }

    private void Remove(BlockHash name, Pin pin)
    {
        _pins.Remove(name);
        Blocks -= pin.Count;
        for (var last = pin.Held.Count - 1; last >= 0; last--) pool.Return(pin.Held[last]);
    }

    private sealed class Pin(int count)
    {
        public int Count { get; } = count;

        public List<int> Held { get; } = new(count);

        /// <summary>Running requests that will keep the prefix when they end.</summary>
        public int Askers { get; set; }

        public DateTimeOffset Until { get; set; }
    }
}
