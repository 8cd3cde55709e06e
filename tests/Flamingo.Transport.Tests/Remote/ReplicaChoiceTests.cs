using Flamingo.Transport.Remote.Replicas;
using Microsoft.Extensions.Time.Testing;

namespace Flamingo.Transport.Tests.Remote;

public sealed class ReplicaChoiceTests
{
    private static readonly string[] Replicas = ["a:1", "b:1", "c:1"];
    private static readonly TimeSpan Rest = TimeSpan.FromSeconds(5);

    private readonly FakeTimeProvider _time = new();
    private readonly ReplicaChoice _choice;

    public ReplicaChoiceTests() => _choice = new ReplicaChoice(spill: 2, Rest, _time);

    [Fact]
    public void Who_waits_for_a_call_to_be_sent_is_told_until_it_asks_no_more()
    {
        var told = 0;
        using (var call = _choice.Begin(null))
        {
            call.OnSent(() => told++);
            _choice.Sent(call.Name);
            Assert.Equal(1, told);
            call.OnSent(null);
            _choice.Sent(call.Name);
            call.OnSent(() => told++);
        }

        _choice.Sent("1"); // the call has ended
        Assert.Equal(1, told);
    }

    [Fact]
    public void Simultaneous_calls_of_one_key_spill_over_and_end_where_they_were()
    {
        var begun = Enumerable.Range(0, 9).Select(_ => _choice.Begin("key")).ToList();
        var places = begun.Select(call => Place(call)).ToList();
        Assert.Equal(places[0], places[1]);
        Assert.NotEqual(places[1], places[2]);
        // a replica is chosen only while it has fewer than two calls more than the least loaded one
        Assert.Equal([2, 3, 4], Replicas.Select(_choice.At).Order());
        foreach (var call in begun) call.Dispose();
        begun[0].Dispose(); // disposing a call twice counts once
        Assert.Equal([0, 0, 0], Replicas.Select(_choice.At));
    }

    [Fact]
    public void Calls_without_a_key_go_to_the_least_loaded_and_in_time_to_all()
    {
        var begun = Enumerable.Range(0, 9).Select(_ => _choice.Begin(null)).ToList();
        foreach (var call in begun) Place(call);
        Assert.Equal([3, 3, 3], Replicas.Select(_choice.At));
        foreach (var call in begun) call.Dispose();
        Assert.Equal(Replicas, Enumerable.Range(0, 50).Select(_ => Once(null)).Distinct().Order()); // also for calls that do not overlap
    }

    [Fact]
    public void A_call_placed_again_counts_once_and_a_strange_one_not_at_all()
    {
        using var call = _choice.Begin("key");
        var first = Place(call);
        string[] left = [.. Replicas.Where(replica => replica != first)];
        var second = Place(call, left);
        Assert.Equal((0, 1), (_choice.At(first), _choice.At(second)));
        _choice.Place(null, Replicas);
        _choice.Place("never begun", Replicas);
        Assert.Equal(1, Replicas.Sum(_choice.At));
    }

    [Theory]
    [InlineData("key"), InlineData(null)]
    public void A_replica_where_a_call_failed_rests_and_then_serves_again(string? key)
    {
        using var call = _choice.Begin(key);
        var failed = Place(call);
        call.Fail();
        call.Fail(); // the call is at no replica now
        Assert.Equal(0, _choice.At(failed));
        _time.Advance(Rest - TimeSpan.FromTicks(1));
        Assert.DoesNotContain(failed, Enumerable.Range(0, 50).Select(_ => Once(key)));
        Assert.Equal(failed, Once(key, failed)); // there is no other replica
        _time.Advance(TimeSpan.FromTicks(1));
        Assert.Contains(failed, Enumerable.Range(0, 50).Select(_ => Once(key)));
    }

    [Theory]
    [InlineData("key"), InlineData(null)]
    public void A_call_never_returns_to_where_it_failed_while_there_is_another(string? key)
    {
        using var call = _choice.Begin(key);
        var failed = new List<string>();
        for (var attempt = 0; attempt < 2; attempt++)
        {
            failed.Add(Place(call));
            call.Fail();
            _time.Advance(2 * Rest); // other calls go to these replicas again
        }

        var third = Place(call);
        Assert.Equal(Replicas, failed.Append(third).Order());
        call.Fail();
        // The call has failed at all replicas, so all are allowed again, except the one that failed just now
        Assert.NotEqual(third, Place(call));
    }

    [Fact]
    public void A_call_that_failed_at_one_goes_rather_where_others_failed_than_there()
    {
        string[] two = [.. Replicas.Take(2)];
        using var mine = _choice.Begin(null);
        var first = Place(mine, two);
        var second = two.Single(replica => replica != first);
        using (var other = _choice.Begin(null))
        {
            Place(other, second);
            other.Fail();
        }

        mine.Fail();
        Assert.Equal(second, Place(mine, two));
    }

    private string Once(string? key, params string[] replicas)
    {
        using var call = _choice.Begin(key);
        return Place(call, replicas);
    }

    private string Place(ReplicaChoice.BegunCall call, params string[] replicas)
    {
        if (replicas.Length == 0) replicas = Replicas;
        return replicas[_choice.Place(call.Name, replicas)];
    }
}
