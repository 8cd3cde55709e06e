using CsCheck;
using Flamingo.LanguageModel.Engine.Pictures;

namespace Flamingo.LanguageModel.Engine.Tests.Pictures;

public sealed class PictureMemoryTests
{
    [Fact]
    public void A_picture_is_fresh_once_and_shared_afterwards()
    {
        var memory = new PictureMemory(2);
        using var first = memory.Lease(["a", "b"]);
        using var second = memory.Lease(["b"]);
        Assert.Equal(["a", "b"], first.Fresh);
        Assert.Empty(second.Fresh);
        Assert.Equal(first.Slots["b"], second.Slots["b"]);
        Assert.NotEqual(first.Slots["a"], first.Slots["b"]);
        Assert.Equal((true, false, false), (memory.CanLease(["a", "b"]), memory.CanLease(["c"]), memory.Holds("c")));
        Assert.Throws<InvalidOperationException>(() => memory.Lease(["c"]));
    }

    [Fact]
    public void The_longest_idle_goes_first_and_a_leased_one_never()
    {
        var memory = new PictureMemory(3);
        var leases = new[] { "a", "b", "c" }.Select(key => memory.Lease([key])).ToList();
        leases[1].Dispose();
        leases[0].Dispose();
        leases[0].Dispose(); // a second disposal has no effect
        Assert.Equal((1, 2), (memory.Leased, memory.Idle));
        using var fourth = memory.Lease(["d"]);
        Assert.Equal((true, false, true), (memory.Holds("a"), memory.Holds("b"), memory.Holds("c")));
        using var fifth = memory.Lease(["a", "c"]); // a picture of the request that is held already is not evicted for its new picture
        Assert.Empty(fifth.Fresh);
    }

    [Fact]
    public void A_picture_that_may_not_be_written_is_fresh_again_unless_a_request_reads_it()
    {
        var memory = new PictureMemory(1);
        var lease = memory.Lease(["a"]);
        memory.Forget("a");
        Assert.True(memory.Holds("a"));
        lease.Dispose();
        memory.Forget("a");
        memory.Forget("a");
        Assert.Equal((false, 0, 0), (memory.Holds("a"), memory.Leased, memory.Idle));
        Assert.Equal(["a"], memory.Lease(["a"]).Fresh);
    }

    [Fact]
    public void Random_leases_agree_with_a_plain_model() => Gen.Select(Gen.Int[1, 5], Gen.Int.Array[1, 120]).Sample((slots, draws) =>
    {
        var memory = new PictureMemory(slots);
        var leases = new List<PictureLease>();
        var idle = new List<string>(); // least recently used first
        foreach (var random in draws.Select(draw => new Random(draw)))
        {
            var keys = new[] { "a", "b", "c", "d", "e", "f" }.Where(_ => random.Next(3) == 0).ToList();
            var leased = leases.SelectMany(lease => lease.Slots.Keys).ToHashSet();
            switch (random.Next(3))
            {
                case 0 when leases.Count > 0:
                    var ended = leases[random.Next(leases.Count)];
                    leases.Remove(ended);
                    ended.Dispose();
                    idle.AddRange(ended.Slots.Keys.Where(key => !leases.Any(lease => lease.Slots.ContainsKey(key))));
                    break;
                case 1 when idle.Count > 0:
                    var forgotten = idle[random.Next(idle.Count)];
                    memory.Forget(forgotten);
                    idle.Remove(forgotten);
                    break;
                default:
                    Assert.Equal(leased.Union(keys).Count() <= slots, memory.CanLease(keys));
                    if (!memory.CanLease(keys)) break;
                    var fresh = keys.Where(key => !leased.Contains(key) && !idle.Contains(key)).ToList();
                    leases.Add(memory.Lease(keys));
                    Assert.Equal(fresh, leases[^1].Fresh);
                    idle.RemoveAll(keys.Contains);
                    while (leased.Union(keys).Count() + idle.Count > slots) idle.RemoveAt(0);
                    break;
            }

            var held = leases.SelectMany(lease => lease.Slots).DistinctBy(slot => slot.Key).ToList();
            Assert.Equal((held.Count, idle.Count), (memory.Leased, memory.Idle));
            Assert.All(idle, key => Assert.True(memory.Holds(key)));
            Assert.Equal(held.Count, held.DistinctBy(slot => slot.Value).Count());
            Assert.All(
                leases, lease => Assert.All(lease.Slots, slot => Assert.Equal(held.Single(one => one.Key == slot.Key).Value, slot.Value)));
        }
    }, iter: 3000);
}
