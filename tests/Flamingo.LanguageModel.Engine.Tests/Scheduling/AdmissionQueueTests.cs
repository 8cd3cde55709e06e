using System.Reflection;
using CsCheck;
using Flamingo.Abstractions;
using Flamingo.LanguageModel.Engine.Scheduling;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.Tests.Scheduling;

public sealed class AdmissionQueueTests
{
    [Fact]
    public void Tenants_take_turns_and_each_keeps_its_order()
    {
        var queue = Queue("A1", "A2", "A3", "A4", "B1", "C1", "B2");
        Assert.Equal(["A1", "B1", "C1", "A2", "B2", "A3", "A4"], Drain(queue));
    }

    [Fact]
    public void A_long_request_keeps_its_turn_until_it_fits()
    {
        var queue = Queue("Along", "B1");
        Assert.Equal(("A", "Along"), queue.Next(1)[0]);
        queue.Enqueue("C", "C1", NoWait);
        queue.Enqueue("A", "A2", NoWait);
        Assert.Equal([("A", "Along"), ("B", "B1"), ("C", "C1")], queue.Next(9)); // whatever other requests arrive
        queue.Dequeue("B"); // passes the long one
        Assert.Equal([("A", "Along"), ("C", "C1")], queue.Next(9));
        queue.Enqueue("B", "B1", NoWait);
        Assert.Equal(["Along", "C1", "B1", "A2"], Drain(queue));
    }

    [Fact]
    public void Over_the_bound_is_overloaded_with_the_time_to_return_and_others_are_not_touched()
    {
        var queue = new AdmissionQueue<string>(2);
        queue.Enqueue("A", "A1", NoWait);
        queue.Enqueue("B", "B1", NoWait);
        var refused = Assert.Throws<FlamingoException>(() => queue.Enqueue("C", "C1", () => TimeSpan.FromSeconds(3)));
        Assert.Equal((FlamingoErrorKind.Overloaded, TimeSpan.FromSeconds(3)), (refused.Kind, refused.RetryAfter));
        Assert.Equal(["A1", "B1"], Drain(queue));
    }

    [Fact]
    public void Where_the_queue_is_full_a_tenant_with_fewer_displaces_the_newest_of_the_one_with_the_most()
    {
        var queue = new AdmissionQueue<string>(6);
        foreach (var request in new[] { "A1", "A2", "A3", "A4", "B1", "B2" }) Assert.Null(queue.Enqueue(request[..1], request, NoWait));
        var displaced = queue.Enqueue("C", "C1", () => TimeSpan.FromSeconds(3))!.Value;
        var refusal = Assert.IsType<FlamingoException>(displaced.Refusal);
        Assert.Equal(
            ("A4", FlamingoErrorKind.Overloaded, TimeSpan.FromSeconds(3)), (displaced.Request, refusal.Kind, refusal.RetryAfter));
        Assert.Equal("A3", queue.Enqueue("D", "D1", NoWait)!.Value.Request);
        // Now A and B have two each. A tenant without any may still come; those that have one do not get a second.
        Assert.NotNull(queue.Enqueue("E", "E1", NoWait));
        Assert.Throws<FlamingoException>(() => queue.Enqueue("D", "D2", NoWait));
        Assert.Throws<FlamingoException>(() => queue.Enqueue("A", "A5", NoWait));
        Assert.Equal(6, queue.Count);
        // whoever is next in its tenant's order is never displaced
        Assert.NotNull(queue.Enqueue("F", "F1", NoWait));
        Assert.Throws<FlamingoException>(() => queue.Enqueue("G", "G1", NoWait));
        Assert.Equal(["A1", "B1", "C1", "D1", "E1", "F1"], Drain(queue));
    }

    [Fact]
    public void A_hundred_thousand_tenant_names_leave_nothing_behind()
    {
        var queue = new AdmissionQueue<string>(10_000);
        for (var name = 0; name < 100_000; name++)
        {
            if (queue.Count == 10_000) queue.Dequeue(queue.Next(1)[0].Tenant);
            queue.Enqueue($"tenant {name}", "x", NoWait);
        }

        for (var left = 10_000; left > 0; left--) queue.Dequeue(queue.Next(1)[0].Tenant);
        Assert.Empty(queue.Next(1));
        foreach (var field in typeof(AdmissionQueue<string>).GetFields(BindingFlags.NonPublic | BindingFlags.Instance))
            if (field.GetValue(queue) is System.Collections.ICollection held) Assert.Empty(held);
    }

    [Fact]
    public void Closing_returns_all_and_refuses_whoever_comes_later()
    {
        var queue = Queue("A1", "B1", "A2");
        Assert.Equal(["A1", "A2", "B1"], queue.Close(() => new FlamingoException(FlamingoErrorKind.Unavailable, "closed")).Order());
        Assert.Equal(0, queue.Count);
        Assert.Empty(queue.Next(9));
        Assert.Equal(FlamingoErrorKind.Unavailable, Assert.Throws<FlamingoException>(() => queue.Enqueue("A", "A3", NoWait)).Kind);
    }

    // Thousands of random arrivals, admissions and cancellations are compared with simple lists.
    [Fact]
    public void No_request_is_lost_and_no_tenant_is_served_twice_while_another_waits() => Gen.Int.Array[1, 80].Sample(draws =>
    {
        var queue = new AdmissionQueue<string>(6);
        var waiting = new Dictionary<string, List<string>>();
        // number of requests of other tenants served since a tenant began to wait or was served
        var passedOver = new Dictionary<string, int>();
        foreach (var (number, random) in draws.Select(draw => new Random(draw)).Index())
        {
            var tenant = ((char)('A' + random.Next(4))).ToString();
            switch (random.Next(5))
            {
                case 0 or 1 or 2:
                    var full = waiting.Values.Sum(list => list.Count) == 6;
                    var request = tenant + number;
                    var own = waiting.GetValueOrDefault(tenant)?.Count ?? 0;
                    var most = waiting.Values.Select(list => list.Count).DefaultIfEmpty().Max();
                    if (full && own + 1 >= most)
                    {
                        Assert.Throws<FlamingoException>(() => queue.Enqueue(tenant, request, NoWait));
                        break;
                    }

                    var displaced = queue.Enqueue(tenant, request, NoWait);
                    Assert.Equal(full, displaced is not null);
                    if (displaced is { Request: var loser })
                    {
                        Assert.Equal((most, loser), (waiting[loser[..1]].Count, waiting[loser[..1]][^1]));
                        Leave(loser[..1], loser);
                    }

                    if (!waiting.TryGetValue(tenant, out var list)) (waiting[tenant], passedOver[tenant]) = (list = [], 0);
                    list.Add(request);
                    break;
                case 3 when queue.Next(1) is [(_, var next)]:
                    queue.Dequeue(next[..1]);
                    var served = next[..1];
                    Assert.Equal(waiting[served][0], next);
                    foreach (var other in waiting.Keys.Where(other => other != served))
                        Assert.True(++passedOver[other] <= 3, "With four tenants, at most three may be served before one.");
                    passedOver[served] = 0;
                    Leave(served, next);
                    break;
                case 4 when waiting.Count > 0:
                    var gone = waiting.Values.SelectMany(list => list).Where(_ => random.Next(3) == 0).ToList();
                    Assert.Equal(gone.Order(), queue.RemoveAll(gone.Contains).Order());
                    foreach (var leaver in gone) Leave(leaver[..1], leaver);
                    break;
            }

            Assert.Equal(waiting.Values.Sum(list => list.Count), queue.Count);
            Assert.Equal(waiting.Select(turn => turn.Value[0]).Order(), queue.Next(9).Select(next => next.Request).Order());
        }

        void Leave(string tenant, string request)
        {
            waiting[tenant].Remove(request);
            if (waiting[tenant].Count == 0) waiting.Remove(tenant);
        }
    }, iter: 3000);

    private static TimeSpan NoWait() => TimeSpan.Zero;

    private static AdmissionQueue<string> Queue(params string[] requests)
    {
        var queue = new AdmissionQueue<string>(100);
        foreach (var request in requests) queue.Enqueue(request[..1], request, NoWait);
        return queue;
    }

    private static List<string> Drain(AdmissionQueue<string> queue)
    {
        var order = new List<string>();
        for (; queue.Next(1) is [var next]; queue.Dequeue(next.Tenant)) order.Add(next.Request);
        Assert.Equal(0, queue.Count);
        return order;
    }
}
