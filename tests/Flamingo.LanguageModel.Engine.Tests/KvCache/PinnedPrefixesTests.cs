using Flamingo.Abstractions;
using Flamingo.LanguageModel.Engine.KvCache;
using Flamingo.Stages;
using Microsoft.Extensions.Time.Testing;

namespace Flamingo.LanguageModel.Engine.Tests.KvCache;

public sealed class PinnedPrefixesTests
{
    private static readonly TimeSpan Minute = TimeSpan.FromMinutes(1);
    private readonly FakeTimeProvider _time = new();
    private readonly PrefixCache _index = new();
    private readonly BlockPool _pool;
    private readonly PinnedPrefixes _pins;
    private int _names;

    public PinnedPrefixesTests()
    {
        _pool = new BlockPool(16, _index);
        _pins = new PinnedPrefixes(_pool, _index, _time);
    }

    [Fact]
    public void A_pinned_prefix_is_leased_until_its_time_is_over()
    {
        var chain = Ended(3, Minute);
        Assert.Equal((3, 3, 13, Minute), (_pool.Leased, _pins.Blocks, _pool.Available, _pins.NextEnd));
        _time.Advance(Minute - TimeSpan.FromSeconds(1));
        _pins.Expire();
        Assert.Equal(3, _pool.Leased);
        _time.Advance(TimeSpan.FromSeconds(1));
        _pins.Expire();
        Assert.Equal((0, 3, 0, null), (_pool.Leased, _pool.Cached, _pins.Blocks, _pins.NextEnd));
        using var all = new BlockLease(_pool, 16);
        for (var block = 0; block < 14; block++) all.Take();
        // the end of the prefix is evicted first
        Assert.Equal((-1, 2), (_index.Find(chain[2]), chain.Count(name => _index.Find(name) >= 0)));
    }

    [Fact]
    public void Pinning_again_extends_a_pin_and_never_shortens_it()
    {
        var chain = Ended(2, Minute);
        Again(TimeSpan.FromSeconds(10));
        Assert.Equal(Minute, _pins.NextEnd);
        Again(2 * Minute);
        Assert.Equal((2, 2 * Minute), (_pins.Blocks, _pins.NextEnd));

        void Again(TimeSpan duration)
        {
            _pins.Promise(chain, "A");
            _pins.Keep(chain, duration);
        }
    }

    [Fact]
    public void A_pin_does_not_expire_while_a_running_request_will_extend_it()
    {
        var chain = Ended(2, Minute);
        _pins.Promise(chain, "A");
        Assert.Null(_pins.NextEnd);
        _time.Advance(2 * Minute);
        _pins.Expire();
        Assert.Equal(2, _pool.Leased);
        _pins.Withdraw(chain);
        _pins.Expire();
        Assert.Equal((0, 0), (_pool.Leased, _pins.Blocks));
    }

    [Fact]
    public void A_tenant_pins_at_most_a_quarter_and_running_requests_count()
    {
        Ended(2, Minute);
        var promised = Names(2);
        _pins.Promise(promised, "A");
        var refused = Assert.Throws<FlamingoException>(() => _pins.Promise(Names(1), "A"));
        Assert.Equal((FlamingoErrorKind.Overloaded, Minute), (refused.Kind, refused.RetryAfter));
        _pins.Promise(promised, "A"); // the same prefix counts only once
        _pins.Withdraw(promised);
        Assert.Throws<FlamingoException>(() => _pins.Promise(Names(1), "A"));
        _pins.Withdraw(promised);
        _pins.Promise(Names(1), "A");
        Assert.Equal(3, _pins.Blocks);
    }

    [Fact]
    public void All_tenants_together_pin_at_most_half()
    {
        Ended(4, Minute);
        Ended(3, Minute, "B");
        Assert.Throws<FlamingoException>(() => _pins.Promise(Names(2), "C"));
        _pins.RequireRoom(Names(1), "C");
        Assert.Equal(7, _pins.Blocks);
    }

    [Fact]
    public void The_tenants_own_pins_yield_first_then_the_largest_then_the_oldest()
    {
        var (own, large, older, younger) = (Ended(1, Minute), Ended(3, Minute, "B"), Ended(2, Minute, "C"), Ended(2, Minute, "D"));
        Assert.Equal(8, _pins.Yieldable().Count);
        foreach (var expected in new[] { own, large, older, younger })
        {
            Assert.All(expected, name => Assert.Equal(1, _pool.OwnersOf(_index.Find(name))));
            var before = _pool.Available;
            _pins.Yield("A", [], () => _pool.Available > before); // one pin is enough
            Assert.All(expected, name => Assert.True(_pool.IsCached(_index.Find(name))));
            Assert.Equal(before + expected.Count, _pool.Available);
        }

        Assert.Equal((4, 0), (_pins.Yielded, _pins.Blocks));
    }

    [Fact]
    public void A_pin_whose_blocks_the_request_will_use_yields_after_the_tenants_other_pins()
    {
        var (used, other) = (Ended(3, Minute), Ended(1, Minute));
        _pins.Yield("A", [.. used.Select(_index.Find)], () => _pool.Available > 12);
        Assert.True(_pool.IsCached(_index.Find(other[0])));
        Assert.False(_pool.IsCached(_index.Find(used[0])));
    }

    [Fact]
    public void A_pin_that_a_running_request_extends_does_not_yield_and_nested_pins_yield_together()
    {
        var chain = Ended(2, Minute);
        _pins.Promise(chain[..1], "A");
        _pins.Keep(chain[..1], Minute);
        Assert.Equal(chain.Select(_index.Find).ToHashSet(), _pins.Yieldable()); // the first block has two pins
        _pins.Promise(chain[..1], "A");
        Assert.Equal([_index.Find(chain[1])], _pins.Yieldable());
        _pins.Yield("B", [], () => false);
        Assert.Equal((1, 1), (_pool.Leased, _pins.Blocks));
    }

    [Fact]
    public void A_prompt_without_a_full_block_pins_nothing()
    {
        _pins.Promise([], "A");
        _pins.Keep([], Minute);
        _pins.Withdraw([]);
        Assert.Equal((0, null), (_pins.Blocks, _pins.NextEnd));
    }

    private List<BlockHash> Names(int blocks) => [.. Enumerable.Range(0, blocks).Select(_ => new BlockHash(0, (UInt128)_names++))];

    // Simulates a request that computed this many blocks, returned them and pinned them.
    private List<BlockHash> Ended(int blocks, TimeSpan duration, string tenant = "A")
    {
        var chain = Names(blocks);
        _pins.Promise(chain, tenant);
        using (var lease = new BlockLease(_pool, blocks))
        {
            var taken = chain.Select(_ => lease.Take()).ToList();
            foreach (var (name, block) in chain.Zip(taken)) _index.Publish(name, block);
            foreach (var block in Enumerable.Reverse(taken)) lease.Return(block);
        }

        _pins.Keep(chain, duration);
        return chain;
    }
}
