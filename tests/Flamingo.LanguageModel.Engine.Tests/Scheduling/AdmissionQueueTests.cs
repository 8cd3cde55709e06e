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
        Assert.Equal("Along", queue.Peek());
        queue.Enqueue("C", "C1", NoWait);
        queue.Enqueue("A", "A2", NoWait);
        Assert.Equal("Along", queue.Peek()); // whatever other requests arrive
        Assert.Equal(["Along", "B1", "C1", "A2"], Drain(queue));
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
    public void Closing_returns_all_and_refuses_whoever_comes_later()
    {
        var queue = Queue("A1", "B1", "A2");
        Assert.Equal(["A1", "A2", "B1"], queue.Close(() => new FlamingoException(FlamingoErrorKind.Unavailable, "closed")).Order());
        Assert.Equal((0, null), (queue.Count, queue.Peek()));
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
                    if (full) Assert.Throws<FlamingoException>(() => queue.Enqueue(tenant, request, NoWait));
                    else queue.Enqueue(tenant, request, NoWait);
                    if (full) break;
                    if (!waiting.TryGetValue(tenant, out var list)) (waiting[tenant], passedOver[tenant]) = (list = [], 0);
                    list.Add(request);
                    break;
                case 3 when queue.Peek() is { } next:
                    queue.Dequeue();
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
            Assert.Equal(queue.Count == 0, queue.Peek() is null);
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
        for (; queue.Peek() is { } next; queue.Dequeue()) order.Add(next);
        Assert.Equal(0, queue.Count);
        return order;
    }
}
