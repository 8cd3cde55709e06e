using Flamingo.Transport.Remote.Affinity;

namespace Flamingo.Transport.Tests.Remote;

public sealed class ReplicaLoadTests
{
    private static readonly string[] Replicas = ["a:1", "b:1", "c:1"];

    [Fact]
    public void Simultaneous_calls_of_one_key_spill_over_and_end_where_they_were()
    {
        var load = new ReplicaLoad();
        var begun = Enumerable.Range(0, 9).Select(_ => load.Begin("key")).ToList();
        var places = begun.Select(call => Replicas[load.Place(call.Call, "key", Replicas, spill: 2)]).ToList();
        Assert.Equal(places[0], places[1]);
        Assert.NotEqual(places[1], places[2]);
        Assert.Equal([2, 3, 4], Replicas.Select(load.At).Order()); // nobody is two ahead of the last when it is chosen
        foreach (var call in begun) call.Dispose();
        begun[0].Dispose(); // twice is once
        Assert.Equal([0, 0, 0], Replicas.Select(load.At));
    }

    [Fact]
    public void A_call_tried_again_counts_once_and_a_strange_one_not_at_all()
    {
        var load = new ReplicaLoad();
        using var call = load.Begin("key");
        var first = load.Place(call.Call, "key", Replicas, 8);
        string[] left = [.. Replicas.Where(replica => replica != Replicas[first])];
        var second = load.Place(call.Call, "key", left, 8);
        Assert.Equal(0, load.At(Replicas[first]));
        Assert.Equal(1, load.At(left[second]));
        load.Place(null, "", Replicas, 8);
        load.Place("never begun", "key", Replicas, 8);
        Assert.Equal(1, Replicas.Sum(load.At));
    }
}
