using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Modeling.Tests.Batching;

public sealed class BatchQueueTests
{
    private static readonly TimeSpan Wait = TimeSpan.FromMilliseconds(2);

    [Fact(Timeout = 30_000)]
    public async Task Calls_that_arrived_while_the_thread_was_busy_share_a_batch()
    {
        using var queue = new SteppedQueue(TestContext.Current.CancellationToken, 8);
        var calls = new List<Task<IReadOnlyList<string>>> { queue.Call("a1"), queue.Call("a2") };
        queue.Meanwhile = () => calls.AddRange([queue.Call("a3"), queue.Call("a4", "a5")]);
        queue.StepAll();
        Assert.Equal([["a1", "a2"], ["a3", "a4", "a5"]], queue.Batches);
        Assert.Equal([["[a1]"], ["[a2]"], ["[a3]"], ["[a4]", "[a5]"]], await Task.WhenAll(calls));
    }

    [Fact(Timeout = 30_000)]
    public async Task A_batch_waits_for_more_items_but_no_longer_than_its_oldest_call_may()
    {
        using var queue = new SteppedQueue(TestContext.Current.CancellationToken, 8, Wait);
        var first = queue.Call("a1");
        queue.Time.Advance(Wait * 0.75);
        var second = queue.Call("a2");
        Assert.False(queue.IsPosted);
        queue.Time.Advance(Wait * 0.25);
        Assert.True(queue.IsPosted);
        queue.StepAll();
        Assert.Equal([["a1", "a2"]], queue.Batches);
        Assert.Equal([Wait, Wait * 0.25], queue.Waits);
        await Task.WhenAll(first, second);
    }

    [Fact(Timeout = 30_000)]
    public async Task It_says_how_many_items_wait_and_run()
    {
        using var queue = new SteppedQueue(TestContext.Current.CancellationToken, 2);
        var seen = new List<(int Waiting, int Running)>();
        var call = queue.Call("a1", "a2", "a3");
        seen.Add((queue.Queue.Waiting, queue.Queue.Running));
        queue.Meanwhile = () => seen.Add((queue.Queue.Waiting, queue.Queue.Running));
        queue.StepAll();
        await call;
        seen.Add((queue.Queue.Waiting, queue.Queue.Running));
        Assert.Equal([(3, 0), (1, 2), (0, 0)], seen);
    }

    [Fact(Timeout = 30_000)]
    public async Task A_full_batch_does_not_wait()
    {
        using var queue = new SteppedQueue(TestContext.Current.CancellationToken, 2, Wait);
        var first = queue.Call("a1");
        Assert.False(queue.IsPosted);
        var second = queue.Call("a2");
        queue.Step();
        Assert.Equal([["a1", "a2"]], queue.Batches);
        await Task.WhenAll(first, second);
    }

    [Fact(Timeout = 30_000)]
    public async Task What_waited_behind_a_batch_does_not_wait_again()
    {
        using var queue = new SteppedQueue(TestContext.Current.CancellationToken, 8, Wait);
        var late = Task.FromResult<IReadOnlyList<string>>([]);
        queue.Meanwhile = () =>
        {
            late = queue.Call("a2");
            queue.Time.Advance(Wait);
        };
        var first = queue.Call("a1");
        queue.Time.Advance(Wait);
        queue.StepAll();
        Assert.Equal([["a1"], ["a2"]], queue.Batches);
        await Task.WhenAll(first, late);
    }

    [Fact(Timeout = 30_000)]
    public async Task A_large_call_spreads_over_batches_and_keeps_its_order()
    {
        using var queue = new SteppedQueue(TestContext.Current.CancellationToken, 2);
        var call = queue.Call("a1", "b1", "a2", "b2", "a3");
        queue.StepAll();
        Assert.Equal([["a1", "a2"], ["a3"], ["b1", "b2"]], queue.Batches);
        Assert.Equal(["[a1]", "[b1]", "[a2]", "[b2]", "[a3]"], await call);
        Assert.Empty(await queue.Call());
    }

    [Fact(Timeout = 30_000)]
    public async Task A_call_with_one_item_does_not_wait_behind_one_with_sixty_four()
    {
        using var queue = new SteppedQueue(TestContext.Current.CancellationToken, 8);
        var large = queue.Call([.. Enumerable.Range(0, 64).Select(item => $"a{item}")]);
        queue.Step();
        var (small, middle) = (queue.Call("aSmall"), queue.Call("aMiddle0", "aMiddle1"));
        queue.Step();
        Assert.Equal(["[aSmall]"], await small);
        Assert.Equal(["[aMiddle0]", "[aMiddle1]"], await middle);
        Assert.Equal(["a8", "aSmall", "aMiddle0", "a9", "aMiddle1", "a10", "a11", "a12"], queue.Batches[1]);
        queue.StepAll();
        Assert.Equal(64, (await large).Count);
    }

    [Fact(Timeout = 30_000)]
    public async Task Kinds_do_not_mix_and_take_turns()
    {
        using var queue = new SteppedQueue(TestContext.Current.CancellationToken, 2);
        Task[] calls = [queue.Call("a1", "a2", "a3", "a4"), queue.Call("b1"), queue.Call("a5"), queue.Call("b2")];
        queue.StepAll();
        Assert.Equal([["a1", "a5"], ["b1", "b2"], ["a2", "a3"], ["a4"]], queue.Batches);
        await Task.WhenAll(calls);
    }

    [Fact(Timeout = 30_000)]
    public async Task A_cancelled_call_takes_its_waiting_items_along_and_no_other_call_fails()
    {
        using var queue = new SteppedQueue(TestContext.Current.CancellationToken, 2);
        using var leaving = new CancellationTokenSource();
        var left = queue.Queue.RunAsync(["a1", "a2", "a3"], leaving.Token);
        var stays = queue.Call("a4", "a5");
        queue.Meanwhile = leaving.Cancel; // after a1 is in the batch
        queue.StepAll();
        Assert.Equal([["a1", "a4"], ["a5"]], queue.Batches);
        Assert.Equal(leaving.Token, (await Assert.ThrowsAnyAsync<OperationCanceledException>(() => left)).CancellationToken);
        Assert.Equal(["[a4]", "[a5]"], await stays);

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => queue.Queue.RunAsync(["a6"], leaving.Token));
        Assert.False(queue.IsPosted);
    }

    [Fact(Timeout = 30_000)]
    public async Task Nothing_is_computed_when_all_calls_are_cancelled()
    {
        using var queue = new SteppedQueue(TestContext.Current.CancellationToken, 2);
        using var leaving = new CancellationTokenSource();
        var left = queue.Queue.RunAsync(["a1"], leaving.Token);
        await leaving.CancelAsync();
        queue.StepAll();
        Assert.Empty(queue.Batches);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => left);
    }

    [Fact(Timeout = 30_000)]
    public async Task A_failing_pass_fails_the_calls_in_it_and_no_other()
    {
        using var queue = new SteppedQueue(TestContext.Current.CancellationToken, 2);
        var (first, second, third) = (queue.Call("a1", "a2"), queue.Call("a3"), queue.Call("a4"));
        queue.Meanwhile = () => throw new InvalidOperationException("out of memory");
        queue.StepAll();
        Assert.Equal([["a4"]], queue.Batches); // a2 fails with its call
        await Assert.ThrowsAsync<InvalidOperationException>(() => first);
        await Assert.ThrowsAsync<InvalidOperationException>(() => second);
        Assert.Equal(["[a4]"], await third);
    }

    [Fact(Timeout = 30_000)]
    public async Task A_stage_that_stops_refuses_the_waiting_calls()
    {
        var queue = new SteppedQueue(TestContext.Current.CancellationToken, 2, Wait);
        var waits = queue.Call("a1");
        queue.Dispose();
        Assert.Equal(FlamingoErrorKind.Unavailable, (await Assert.ThrowsAsync<FlamingoException>(() => waits)).Kind);
        Assert.Equal(FlamingoErrorKind.Unavailable, (await Assert.ThrowsAsync<FlamingoException>(() => queue.Call("a2"))).Kind);
        Assert.Empty(queue.Batches);
    }

    [Fact(Timeout = 30_000)]
    public async Task An_ended_compute_thread_fails_all_waiting_calls()
    {
        using var queue = new SteppedQueue(TestContext.Current.CancellationToken, 1);
        var (first, second) = (queue.Call("a1"), queue.Call("a2"));
        queue.Break(new InvalidOperationException("the thread has ended"));
        await Assert.ThrowsAsync<InvalidOperationException>(() => first);
        await Assert.ThrowsAsync<InvalidOperationException>(() => second);
    }

    /// <summary>
    /// Random calls, cancellations, failures and passing time: every batch is bounded and of one kind, no item is computed twice,
    /// and every call that is not cancelled gets its own results in order.
    /// </summary>
    [Theory(Timeout = 60_000), InlineData(1), InlineData(2), InlineData(3), InlineData(4)]
    public async Task Random_calls_get_their_own_results_once_and_in_order(int seed)
    {
        var random = new Random(seed);
        using var queue = new SteppedQueue(TestContext.Current.CancellationToken, random.Next(1, 6), random.Next(2) * Wait);
        var (calls, failed) = (new List<(string[] Items, CancellationTokenSource Leaving, Task<IReadOnlyList<string>> Answers)>(), 0);
        for (var round = 0; round < 3000; round++)
        {
            switch (random.Next(8))
            {
                case < 3:
                    var (number, leaving) = (calls.Count, new CancellationTokenSource());
                    string[] items = [.. Enumerable.Range(0, random.Next(1, 8)).Select(item => $"{"ab"[random.Next(2)]}{number}.{item}")];
                    calls.Add((items, leaving, queue.Queue.RunAsync(items, leaving.Token)));
                    break;
                case 3 when calls.Count > 0:
                    await calls[random.Next(Math.Max(0, calls.Count - 5), calls.Count)].Leaving.CancelAsync();
                    break;
                case 4:
                    queue.Time.Advance(TimeSpan.FromMilliseconds(random.NextDouble()));
                    break;
                case 5 when queue.IsPosted && random.Next(10) == 0:
                    queue.Meanwhile = () => throw new InvalidOperationException();
                    failed++;
                    queue.Step();
                    break;
                default:
                    if (queue.IsPosted) queue.Step();
                    break;
            }
        }

        queue.Meanwhile = null;
        while (calls.Any(call => !call.Answers.IsCompleted))
        {
            queue.Time.Advance(Wait);
            queue.StepAll();
        }

        Assert.True(failed > 0);
        Assert.All(queue.Batches, batch => Assert.Single(batch.Select(item => item[0]).Distinct()));
        Assert.Equal(queue.Batches.Sum(batch => batch.Length), queue.Batches.SelectMany(batch => batch).Distinct().Count());
        var answered = calls.Where(call => call.Answers.IsCompletedSuccessfully).ToList();
        Assert.All(answered, call => Assert.Equal(call.Items.Select(item => $"[{item}]"), call.Answers.Result));
        Assert.InRange(answered.Count, calls.Count / 4, calls.Count - 1);
        Assert.All(
            calls.Except(answered),
            call => Assert.True(call.Answers.IsCanceled || call.Answers.Exception?.InnerException is InvalidOperationException));
        foreach (var call in calls) call.Leaving.Dispose();
    }
}
