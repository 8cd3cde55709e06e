using Flamingo.Abstractions;
using Flamingo.Gateway.Admission;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Flamingo.Gateway.Tests.Admission;

public sealed class RequestPermitsTests
{
    private readonly FakeTimeProvider _time = new();

    [Fact]
    public async Task A_tenant_alone_uses_all_permits_and_its_requests_keep_their_order()
    {
        var door = new Door(running: 4, waiting: 8, _time);
        var requests = Enumerable.Range(0, 12).Select(number => door.Enter("a", $"{number}")).ToList();
        Assert.Equal((4, 8, 1), door.State);
        foreach (var request in requests) await door.LeaveAsync(request);
        Assert.Equal(Enumerable.Range(0, 12).Select(number => $"{number}"), door.Order);
        Assert.Equal((0, 0, 1), door.State);
    }

    [Fact]
    public async Task A_tenant_without_a_running_request_uses_the_reserve_and_others_wait_in_turn()
    {
        var door = new Door(running: 8, waiting: 100, _time);
        var many = Enumerable.Range(0, 40).Select(number => door.Enter("many", $"many {number}")).ToList();
        var neighbour = door.Enter("neighbour", "n 0"); // a newcomer, while all eight permits are taken
        Assert.Equal(9, door.State.Running);
        var second = door.Enter("neighbour", "n 1"); // it has a running request, so it waits
        var third = door.Enter("third", "t 0"); // newcomers have used their half of the reserve
        Assert.False(second.IsCompleted || third.IsCompleted);
        await door.LeaveAsync(neighbour);
        Assert.True(second.IsCompleted && third.IsCompleted); // now none of the neighbour's requests runs
        await door.LeaveAsync(third);

        // The neighbour's request keeps the reserve. The others wait, and one of each is admitted in turn.
        for (var number = 2; number <= 5; number++) _ = door.Enter("neighbour", $"n {number}");
        door.Order.Clear();
        foreach (var request in many.Take(8)) await door.LeaveAsync(request);
        Assert.Equal(["many 8", "n 2", "many 9", "n 3", "many 10", "n 4", "many 11"], door.Order);
    }

    [Fact]
    public async Task A_hundred_thousand_names_share_one_turn_and_keep_a_bounded_state()
    {
        var door = new Door(running: 4, waiting: 64, _time);
        for (var call = 0; call < 3; call++) await door.LeaveAsync(door.Enter("known", "known"));
        var (refused, calls, invented) = (0, 0, new LinkedList<Task<RequestPermit>>());
        for (var name = 0; name < 100_000; name++)
        {
            invented.AddLast(door.Enter($"invented {name}", $"invented {name}"));
            _time.Advance(TimeSpan.FromMinutes(1) / 100_000);
            await door.SettleAsync();
            if (name % 2 == 0) await EndOneAsync(); // half of them are served, the others are refused
            if (name % 1000 == 999)
            {
                // The queue is full and all permits are taken. One request of the known tenant uses the reserve at once. The next waits
                // for one newcomer in turn, and perhaps for one that takes the newcomers' part of the reserve.
                Assert.Equal(64, door.State.Waiting);
                var first = door.Enter("known", "known");
                Assert.True(first.IsCompletedSuccessfully);
                door.Order.Clear();
                var second = door.Enter("known", "known");
                await door.SettleAsync();
                Assert.Equal(64, door.State.Waiting); // it has displaced a newcomer
                while (!second.IsCompleted) await EndOneAsync();
                Assert.InRange(door.Order.Count, 1, 3);
                await door.LeaveAsync(first);
                await door.LeaveAsync(second);
                calls++;
            }

            Assert.InRange(door.State.Tenants, 0, RequestPermits.MostIdleTenants + 6);
        }

        Assert.Equal(100, calls);
        Assert.InRange(refused, 10_000, 90_000);
        while (invented.Count > 0) await EndOneAsync();
        Assert.Equal((0, 0, RequestPermits.MostIdleTenants), door.State);

        async Task EndOneAsync()
        {
            for (var request = invented.First; request is not null; request = request.Next)
            {
                if (!request.Value.IsCompleted) continue;
                invented.Remove(request);
                if (request.Value.IsCompletedSuccessfully)
                {
                    await door.LeaveAsync(request.Value);
                    return;
                }

                Assert.IsType<FlamingoException>(request.Value.Exception!.InnerException);
                refused++;
                if (invented.First is null) return;
                request = invented.First;
            }
        }
    }

    [Fact]
    public async Task A_full_queue_gives_way_to_a_tenant_with_fewer_waiting_requests()
    {
        var door = new Door(running: 1, waiting: 4, _time);
        foreach (var tenant in new[] { "a", "b" }) await door.LeaveAsync(door.Enter(tenant, tenant));
        var (running, reserve) = (door.Enter("a", "a 0"), door.Enter("b", "b 0"));
        var greedy = Enumerable.Range(1, 4).Select(number => door.Enter("a", $"a {number}")).ToList();
        Assert.Equal((2, 4, 2), door.State);
        var refusal = await Assert.ThrowsAsync<FlamingoException>(() => door.Enter("a", "a 5"));
        Assert.Equal((FlamingoErrorKind.Overloaded, TimeSpan.FromSeconds(1)), (refusal.Kind, refusal.RetryAfter));

        var first = door.Enter("b", "b 1");
        Assert.Equal(FlamingoErrorKind.Overloaded, (await Assert.ThrowsAsync<FlamingoException>(() => greedy[3])).Kind);
        var second = door.Enter("b", "b 2");
        Assert.Equal(FlamingoErrorKind.Overloaded, (await Assert.ThrowsAsync<FlamingoException>(() => greedy[2])).Kind);
        await Assert.ThrowsAsync<FlamingoException>(() => door.Enter("b", "b 3")); // two of each wait
        await Assert.ThrowsAsync<FlamingoException>(() => door.Enter("a", "a 6"));
        Assert.Equal(4, door.State.Waiting);
        door.Order.Clear();
        await door.LeaveAsync(running); // the reserve is in use, so the next request waits for it too
        await door.LeaveAsync(reserve);
        foreach (var request in new[] { greedy[0], first, greedy[1], second }) await door.LeaveAsync(request);
        Assert.Equal(["a 1", "b 1", "a 2", "b 2"], door.Order);
    }

    [Fact]
    public async Task Cancellation_while_waiting_leaves_no_trace()
    {
        var door = new Door(running: 1, waiting: 4, _time);
        var running = door.Enter("a", "a");
        using var caller = new CancellationTokenSource();
        var reserve = door.Enter("b", "b");
        var waiting = new[] { door.Enter("c", "c", caller.Token), door.Enter("a", "a", caller.Token) };
        Assert.Equal((2, 2, 2), door.State);
        await caller.CancelAsync();
        foreach (var request in waiting) await Assert.ThrowsAnyAsync<OperationCanceledException>(() => request);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => door.Enter("a", "a", caller.Token));
        Assert.Equal((2, 0, 2), door.State);
        await door.LeaveAsync(running);
        (await running).Dispose(); // does nothing
        await door.LeaveAsync(reserve);
        Assert.Equal((0, 0, 2), door.State);
    }

    [Fact]
    public async Task A_permit_can_be_left_and_taken_again_before_the_tenants_other_requests()
    {
        var door = new Door(running: 1, waiting: 2, _time);
        using var paused = await door.Enter("a", "paused");
        paused.Leave();
        paused.Leave(); // does nothing
        Assert.Equal(0, door.State.Running);
        var other = door.Enter("a", "other");
        var waiting = new[] { door.Enter("a", "waiting"), door.Enter("a", "waiting too") };
        var reentering = door.Reenter(paused); // is not refused, although the queue is full
        Assert.Equal((1, 3, 1), door.State);
        await Assert.ThrowsAsync<FlamingoException>(() => door.Enter("a", "refused"));
        await door.LeaveAsync(other);
        Assert.True(reentering.IsCompletedSuccessfully);
        Assert.False(waiting[0].IsCompleted);
        await door.Reenter(paused); // does nothing
        paused.Leave();
        foreach (var request in waiting) await door.LeaveAsync(request);

        var blocking = door.Enter("a", "blocking");
        using var caller = new CancellationTokenSource();
        var leaving = door.Reenter(paused, caller.Token);
        Assert.Equal((1, 1, 1), door.State);
        await caller.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => leaving);
        paused.Dispose(); // holds nothing
        await door.LeaveAsync(blocking);
        Assert.Equal((0, 0, 1), door.State);
    }

    [Fact]
    public async Task A_tenant_that_is_served_often_is_remembered_and_forgotten_after_a_long_time()
    {
        var door = new Door(running: 8, waiting: 8, _time);
        async Task ServeAsync(string tenant) => await door.LeaveAsync(door.Enter(tenant, tenant));
        for (var call = 0; call < 4; call++) await ServeAsync("often");
        for (var name = 0; name < 3000; name++) await ServeAsync($"once {name}");
        Assert.True(await IsKnownAsync("often"));
        Assert.False(await IsKnownAsync("once 5"));
        for (var halves = 0; halves < 5; halves++)
        {
            _time.Advance(TimeSpan.FromMinutes(11));
            await ServeAsync("once more");
        }

        for (var name = 0; name < 3000; name++) await ServeAsync($"later {name}");
        Assert.False(await IsKnownAsync("often"));

        // A newcomer uses the newcomers' half of the reserve of two, so a second newcomer waits, but a known tenant does not.
        async Task<bool> IsKnownAsync(string tenant)
        {
            using var caller = new CancellationTokenSource();
            var running = Enumerable.Range(0, 8).Select(_ => door.Enter("busy", "busy")).ToList();
            running.Add(door.Enter($"new beside {tenant} {_time.GetTimestamp()}", "new"));
            Assert.Equal(9, door.State.Running);
            var asked = door.Enter(tenant, tenant, caller.Token);
            var known = asked.IsCompletedSuccessfully;
            await caller.CancelAsync();
            if (known) await door.LeaveAsync(asked);
            else await Assert.ThrowsAnyAsync<OperationCanceledException>(() => asked);
            foreach (var request in running) await door.LeaveAsync(request);
            return known;
        }
    }

    [Fact]
    public async Task Random_requests_keep_the_bounds_and_the_order_and_leave_nothing_behind()
    {
        var random = new Random(9);
        for (var round = 0; round < 200; round++)
        {
            var (limit, queue) = (random.Next(1, 9), random.Next(0, 12));
            var (door, live) = (new Door(limit, queue, _time), new List<Live>());
            for (var step = 0; step < 200; step++)
            {
                var pick = live.Count > 0 ? live[random.Next(live.Count)] : null;
                switch (random.Next(6))
                {
                    case 0 or 1 or 2:
                        var (caller, tenant) = (new CancellationTokenSource(), $"{random.Next(6)}");
                        live.Add(new Live(tenant, step, caller, door.Enter(tenant, tenant, caller.Token)));
                        break;
                    case 3 when pick is { Runs: true }:
                        await door.LeaveAsync(pick.Entering);
                        live.Remove(pick);
                        break;
                    case 4 when pick is { Runs: true, Reentering: null }:
                        var permit = await pick.Entering;
                        permit.Leave();
                        live[live.IndexOf(pick)] = pick with { Reentering = door.Reenter(permit, pick.Caller.Token) };
                        break;
                    case 5 when pick is { Runs: false, Reentering: null }:
                        await pick.Caller.CancelAsync();
                        break;
                }

                await door.SettleAsync();
                live.RemoveAll(item => item.Entering.IsCanceled || item.Entering.Exception is not null);
                var running = live.Count(item => item.Runs);
                Assert.Equal((running, live.Count - running), (door.State.Running, door.State.Waiting));
                Assert.InRange(running, 0, limit + Math.Max(2, limit / 4));
                Assert.InRange(live.Count(item => item is { Runs: false, Reentering: null }), 0, queue);
                if (running < limit) Assert.DoesNotContain(live, item => !item.Runs);
                foreach (var one in live.Where(item => item.Reentering is null).GroupBy(item => item.Tenant)) // order of arrival
                    Assert.Equal(one.OrderBy(item => item.Arrived), one.OrderBy(item => !item.Runs).ThenBy(item => item.Arrived));
            }

            foreach (var item in live) await item.Caller.CancelAsync();
            await door.SettleAsync();
            foreach (var item in live.Where(item => item.Entering.IsCompletedSuccessfully)) (await item.Entering).Dispose();
            Assert.Equal((0, 0), (door.State.Running, door.State.Waiting));
        }
    }

    private sealed record Live(
        string Tenant, int Arrived, CancellationTokenSource Caller, Task<RequestPermit> Entering, Task? Reentering = null)
    {
        public bool Runs => (Reentering ?? Entering).IsCompletedSuccessfully;
    }

    /// <summary>
    /// Permits and the requests that use them. Waiting requests continue on other threads, so a test waits until all admitted
    /// requests have continued.
    /// </summary>
    private sealed class Door(int running, int waiting, FakeTimeProvider time)
    {
        private readonly RequestPermits _permits = new(
            new GatewayOptions { MaxConcurrentRequests = running, MaxQueuedRequests = waiting }, time, NullLogger<RequestPermits>.Instance);
        private readonly List<Task> _asked = [];

        /// <summary>Names of the admitted requests.</summary>
        public List<string> Order { get; } = [];

        public (int Running, int Waiting, int Tenants) State => _permits.State;

        public Task<RequestPermit> Enter(string tenant, string name, CancellationToken cancellation = default)
        {
            var entering = EnterAsync();
            _asked.Add(entering);
            return entering;

            async Task<RequestPermit> EnterAsync()
            {
                var permit = await _permits.EnterAsync(tenant, cancellation);
                lock (Order) Order.Add(name);
                return permit;
            }
        }

        public Task Reenter(RequestPermit permit, CancellationToken cancellation = default)
        {
            var reentering = permit.ReenterAsync(cancellation).AsTask();
            _asked.Add(reentering);
            return reentering;
        }

        public async Task LeaveAsync(Task<RequestPermit> request)
        {
            (await request).Dispose();
            await SettleAsync();
        }

        public async Task SettleAsync()
        {
            while (true)
            {
                _asked.RemoveAll(task => task.IsCompleted);
                if (_asked.Count == State.Waiting) return;
                await Task.Yield();
            }
        }
    }
}
