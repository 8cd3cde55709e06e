using CsCheck;
using Flamingo.LanguageModel.Engine.KvCache;

namespace Flamingo.LanguageModel.Engine.Tests.KvCache;

public sealed class BlockPoolTests
{
    // Leases are taken and returned over a tiny pool, and a simple model predicts the state of each block.
    [Fact]
    public void Random_operations_agree_with_a_plain_model() => Gen.Select(Gen.Int[1, 12], Gen.Int.Array[1, 200]).Sample((total, draws) =>
    {
        var model = new Model(total);
        foreach (var draw in draws) model.Operate(new Random(draw));
        model.End();
    }, iter: 3000);

    [Fact]
    public void The_least_recently_used_goes_first_and_leased_blocks_never()
    {
        var index = new PrefixCache();
        var pool = new BlockPool(3, index);
        using var lease = new BlockLease(pool, 3);
        int[] blocks = [lease.Take(), lease.Take(), lease.Take()];
        for (var at = 0; at < 3; at++) index.Publish(Name(at), blocks[at]);
        lease.Return(blocks[1]);
        lease.Return(blocks[0]);
        Assert.Equal((0, 1, 2), (pool.Free, pool.Leased, pool.Cached));
        Assert.Equal(blocks[1], lease.Take());
        Assert.Equal((-1, blocks[0], blocks[2], 1L), (index.Find(Name(1)), index.Find(Name(0)), index.Find(Name(2)), pool.Evictions));
        Assert.Equal(blocks[0], lease.Take());
        Assert.Throws<InvalidOperationException>(() => lease.Take()); // the reservation is used up
    }

    [Fact]
    public void More_blocks_than_exist_cannot_be_reserved_and_cached_blocks_can()
    {
        var index = new PrefixCache();
        var pool = new BlockPool(4, index);
        using (var first = new BlockLease(pool, 3))
        {
            Assert.Throws<InvalidOperationException>(() => new BlockLease(pool, 2));
            var block = first.Take();
            index.Publish(Name(0), block);
            first.Return(block);
            Assert.Equal((1, 1), (pool.Cached, pool.Available)); // a returned block is reserved again
        }

        using var all = new BlockLease(pool, 4);
        Assert.Equal(0, pool.Available);
    }

    [Fact]
    public void A_free_block_cannot_be_shared_nor_returned()
    {
        var pool = new BlockPool(1, new PrefixCache());
        Assert.Throws<InvalidOperationException>(() => pool.Share(0));
        Assert.Throws<InvalidOperationException>(() => pool.Return(0));
    }

    private static BlockHash Name(int number) => new(0, (UInt128)number);

    private sealed class Model
    {
        private readonly PrefixCache _index = new();
        private readonly BlockPool _pool;
        private readonly int[] _owners;
        private readonly Dictionary<int, BlockHash> _published = [];
        private readonly List<int> _cached = []; // least recently used first
        private readonly List<Holder> _holders = [];
        private int _names;

        public Model(int total) => (_pool, _owners) = (new BlockPool(total, _index), new int[total]);

        public void Operate(Random random)
        {
            var holder = _holders.Count == 0 ? null : _holders[random.Next(_holders.Count)];
            switch (random.Next(7))
            {
                case 0 when _pool.Available > 0:
                    var promised = random.Next(1, _pool.Available + 1);
                    _holders.Add(new Holder(new BlockLease(_pool, promised)) { Left = promised });
                    break;
                case 1 or 2 when holder?.Left > 0:
                    Take(holder);
                    break;
                case 3 when holder?.Held.Except(_published.Keys).ToList() is [var block, ..]:
                    _published[block] = Name(_names++);
                    _index.Publish(_published[block], block);
                    break;
                // adds an owner; a cached block only if another block can still be reserved
                case 4 when holder is not null && _published.Count > 0:
                    var shared = _published.Keys.Order().ElementAt(random.Next(_published.Count));
                    if (_owners[shared] == 0 && _pool.Available == 0) break;
                    holder.Lease.Share(shared);
                    holder.Held.Add(shared);
                    _cached.Remove(shared);
                    _owners[shared]++;
                    break;
                case 5 when holder?.Held.Count > 0:
                    Return(holder, holder.Held[random.Next(holder.Held.Count)]);
                    break;
                case 6 when holder is not null:
                    End(holder);
                    break;
            }

            Check();
        }

        public void End()
        {
            foreach (var holder in _holders.ToList()) End(holder);
            Check();
            Assert.Equal((0, _pool.Total, _pool.Total), (_pool.Leased, _pool.Free + _pool.Cached, _pool.Available));
        }

        private void Take(Holder holder)
        {
            var free = Enumerable.Range(0, _owners.Length).Count(block => _owners[block] == 0 && !_published.ContainsKey(block));
            var block = holder.Lease.Take();
            Assert.Equal(0, _owners[block]);
            if (free == 0)
            {
                Assert.Equal(_cached[0], block);
                _cached.RemoveAt(0);
                _published.Remove(block);
            }

            Assert.DoesNotContain(block, _published.Keys); // its old content cannot be found any more
            _owners[block] = 1;
            holder.Held.Add(block);
            holder.Own.Add(block);
            holder.Left--;
        }

        private void Return(Holder holder, int block)
        {
            holder.Lease.Return(block);
            holder.Held.Remove(block);
            if (--_owners[block] > 0) return;
            if (holder.Own.Remove(block)) holder.Left++; // reserved for the lease again
            if (_published.ContainsKey(block)) _cached.Add(block);
        }

        private void End(Holder holder)
        {
            foreach (var block in holder.Held.ToList()) Return(holder, block);
            holder.Lease.Dispose();
            holder.Lease.Dispose(); // a second disposal has no effect
            _holders.Remove(holder);
        }

        private void Check()
        {
            Assert.Equal(_pool.Total, _pool.Free + _pool.Leased + _pool.Cached);
            Assert.Equal(_owners.Count(owners => owners > 0), _pool.Leased);
            Assert.Equal(_cached.Count, _pool.Cached);
            Assert.Equal(_published.Count, _index.Count);
            Assert.All(_published, pair => Assert.Equal(pair.Key, _index.Find(pair.Value)));
            Assert.All(Enumerable.Range(0, _owners.Length), block => Assert.Equal(_owners[block], _pool.OwnersOf(block)));
            Assert.Equal(_pool.Free + _pool.Cached - _holders.Sum(holder => holder.Left), _pool.Available);
            Assert.True(_pool.Available >= 0);
        }

        private sealed class Holder(BlockLease lease)
        {
            public BlockLease Lease { get; } = lease;

            public int Left { get; set; }

            public List<int> Held { get; } = [];

            public HashSet<int> Own { get; } = [];
        }
    }
}
