using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.KvCache;

/// <summary>
/// Prefixes that are protected from eviction for a time. Each pin is an owner of its blocks until it expires or yields to a waiting
/// request. At most half of the pool may be pinned, and at most a quarter of it by one tenant; the prefix that a request will pin counts
/// from the request's admission. Nothing is kept of a tenant without pins.
/// </summary>
public sealed class PinnedPrefixes(BlockPool pool, PrefixCache prefixes, TimeProvider time)
{
    private readonly Dictionary<BlockHash, Pin> _pins = []; // by the hash of the last block
    private long _numbers;

    /// <summary>
    /// Number of blocks that are pinned or will be pinned by running requests. A block of several nested prefixes counts once for
    /// each.
    /// </summary>
    public int Blocks { get; private set; }

    /// <summary>Number of pins that have yielded to waiting requests since the start.</summary>
    public long Yielded { get; private set; }

    /// <summary>Largest number of blocks that may be pinned at once by all prefixes together.</summary>
    public static int MostBlocks(int poolBlocks) => poolBlocks / 2;

    /// <summary>Largest number of blocks that one tenant may pin at once.</summary>
    public static int MostOfTenant(int poolBlocks) => MostBlocks(poolBlocks) / 2;

    /// <summary>Time until the next pin expires, not counting pins that a running request will extend; null if there is none.</summary>
    public TimeSpan? NextEnd
    {
        get
        {
            var ends = _pins.Values.Where(pin => pin.Askers == 0).Select(pin => pin.Until).ToList();
            return ends.Count == 0 ? null : TimeSpan.FromTicks(Math.Max(0, (ends.Min() - time.GetUtcNow()).Ticks));
        }
    }

    /// <summary>Refuses a prefix that cannot be pinned now, because too many blocks are pinned already.</summary>
    /// <param name="chain">Hashes of the prompt's full blocks, from the first on.</param>
    /// <param name="tenant">The tenant of the request, whose hashes no other tenant's prompts have.</param>
    /// <exception cref="FlamingoException">Overloaded, with the time until the next pin expires.</exception>
    public void RequireRoom(IReadOnlyList<BlockHash> chain, string tenant)
    {
        if (chain.Count == 0 || _pins.ContainsKey(chain[^1])) return;
        var own = _pins.Values.Where(pin => pin.Tenant == tenant).Sum(pin => pin.Count);
        if (own + chain.Count <= MostOfTenant(pool.Total) && Blocks + chain.Count <= MostBlocks(pool.Total)) return;
        throw new FlamingoException(
            FlamingoErrorKind.Overloaded,
            $"Pinned prefixes hold {Blocks} of {pool.Total} blocks, {own} of them for this tenant. At most {MostBlocks(pool.Total)} may be "
            + $"pinned, and {MostOfTenant(pool.Total)} by one tenant. Ask without pin_prefix, wait until a pin expires, or raise "
            + "LanguageModel:KvCacheBytes.") { RetryAfter = NextEnd ?? TimeSpan.FromSeconds(1) };
    }

    /// <summary>
    /// Makes sure that the prefix of an admitted request can be pinned when the request ends. Call afterwards <see cref="Keep"/> or <see
    /// cref="Withdraw"/>.
    /// </summary>
    /// <inheritdoc cref="RequireRoom"/>
    public void Promise(IReadOnlyList<BlockHash> chain, string tenant)
    {
        if (chain.Count == 0) return;
        RequireRoom(chain, tenant);
        if (!_pins.TryGetValue(chain[^1], out var pin))
        {
            _pins[chain[^1]] = pin = new Pin(tenant, chain.Count, _numbers++);
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

    /// <summary>Blocks that would have no owner any more if all pins yielded that no running request will extend.</summary>
    public IReadOnlySet<int> Yieldable() =>
        Yielding().SelectMany(pin => pin.Value.Held).CountBy(block => block).Where(held => pool.OwnersOf(held.Key) == held.Value)
            .Select(held => held.Key).ToHashSet();

    /// <summary>
    /// Ends pins that no running request will extend until there is room for a waiting request: first those of its own tenant, then the
    /// largest, then the oldest. Of the tenant's own pins, those that hold none of the blocks that the request will use go first.
    /// </summary>
    /// <param name="used">Blocks that the request will use.</param>
    /// <param name="fits">Whether there is room now.</param>
    public void Yield(string tenant, IReadOnlyList<int> used, Func<bool> fits)
    {
        if (fits()) return;
        var order = Yielding().OrderByDescending(pin => pin.Value.Tenant == tenant).ThenBy(pin => pin.Value.Held.Intersect(used).Any())
            .ThenByDescending(pin => pin.Value.Count).ThenBy(pin => pin.Value.Number);
        foreach (var (name, pin) in order.ToList())
        {
            if (fits()) return;
            Remove(name, pin);
            Yielded++;
        }
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

    private IEnumerable<KeyValuePair<BlockHash, Pin>> Yielding() => _pins.Where(pin => pin.Value.Askers == 0);

    private void Remove(BlockHash name, Pin pin)
    {
        _pins.Remove(name);
        Blocks -= pin.Count;
        for (var last = pin.Held.Count - 1; last >= 0; last--) pool.Return(pin.Held[last]);
    }

    private sealed class Pin(string tenant, int count, long number)
    {
        public string Tenant { get; } = tenant;

        /// <summary>A larger number means that the prefix was pinned later.</summary>
        public long Number { get; } = number;

        public int Count { get; } = count;

        public List<int> Held { get; } = new(count);

        /// <summary>Running requests that will keep the prefix when they end.</summary>
        public int Askers { get; set; }

        public DateTimeOffset Until { get; set; }
    }
}
