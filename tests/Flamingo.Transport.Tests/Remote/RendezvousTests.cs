using Flamingo.Abstractions;
using Flamingo.Stages;
using Flamingo.Transport.Remote.Replicas;

namespace Flamingo.Transport.Tests.Remote;

public sealed class RendezvousTests
{
    private static readonly string[] Replicas = ["10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8080", "10.0.0.4:8080"];

    private static readonly string[] Keys = [.. Enumerable.Range(0, 4000).Select(key => $"key {key}")];

    [Fact]
    public void Keys_spread_over_all_replicas_alike()
    {
        var counts = Keys.CountBy(key => Choose(key, Replicas)).ToDictionary();
        // The expected count is 1000 with a standard deviation of 27. The hash is fixed, so the result is too.
        Assert.All(Replicas, replica => Assert.InRange(counts[replica], 850, 1150));
    }

    [Fact]
    public void A_replica_that_goes_moves_its_own_keys_alone_whatever_the_order()
    {
        foreach (var gone in Replicas)
        {
            string[] left = [.. Replicas.Where(replica => replica != gone).Reverse()];
            var moved = Keys.Where(key => Choose(key, Replicas) == gone).ToList();
            Assert.NotEmpty(moved);
            Assert.All(Keys.Except(moved), key => Assert.Equal(Choose(key, Replicas), Choose(key, left)));
            Assert.Equal(3, moved.Select(key => Choose(key, left)).Distinct().Count()); // and they move to all remaining replicas
        }
    }

    [Fact]
    public void A_busy_replica_is_passed_over_for_the_next_in_the_keys_order()
    {
        foreach (var key in Keys.Take(100))
        {
            var first = Choose(key, Replicas);
            var second = Choose(key, [.. Replicas.Where(replica => replica != first)]);
            int[] Calls(int atFirst) => [.. Replicas.Select(replica => replica == first ? atFirst : 2)];
            Assert.Equal(first, Replicas[Rendezvous.Choose(key, Replicas, Calls(2 + 7), spill: 8)]);
            Assert.Equal(second, Replicas[Rendezvous.Choose(key, Replicas, Calls(2 + 8), spill: 8)]);
        }
    }

    private static string Choose(string key, IReadOnlyList<string> replicas) =>
        replicas[Rendezvous.Choose(key, replicas, new int[replicas.Count], spill: 8)];

    [Fact]
    public void With_a_spill_of_one_the_least_loaded_serves() =>
        Assert.All(Keys.Take(100), key => Assert.Equal(2, Rendezvous.Choose(key, Replicas, [3, 2, 1, 2], spill: 1)));

    [Fact]
    public void Prompts_with_the_same_beginning_have_one_key_and_others_their_own()
    {
        static PictureSegment Picture(char key, bool latents = false) =>
            new(new string(key, 64), latents ? ChecksummedLatents.Of(TensorData.FromFloats([1], 1, 1)) : null);
        static TextSegment Text(string text) => new(text);
        var key = PromptAffinity.Key("t", [Picture('a'), Text("This is a jano"), Picture('b')]);
        Assert.Equal(key, PromptAffinity.Key("t", [Picture('a', latents: true), Text("This is a jano"), Picture('c'), Text("and more")]));
        Assert.Equal(PromptAffinity.Key("t", [Text(new string('x', 64))]), PromptAffinity.Key("t", [Text(new string('x', 64) + "y")]));
        string[] others =
        [
            key, PromptAffinity.Key("u", [Picture('a'), Text("This is a jano")]),
            PromptAffinity.Key("t", [Picture('b'), Text("This is a jano")]),
            PromptAffinity.Key("t", [Picture('a'), Text("This is a pilu")]),
            PromptAffinity.Key("t", [Text("This is a jano"), Picture('a')]), PromptAffinity.Key("t", [Text(new string('a', 64))]),
            PromptAffinity.Key("t", [Picture('a')]), PromptAffinity.Key("t", []),
        ];
        Assert.Distinct(others);
    }
}
