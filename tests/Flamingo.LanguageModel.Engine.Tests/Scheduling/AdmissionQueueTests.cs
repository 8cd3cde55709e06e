using CsCheck;
using Flamingo.LanguageModel.Engine.Scheduling;
using Flamingo.Stages;
using Microsoft.Extensions.Time.Testing;

namespace Flamingo.LanguageModel.Engine.Tests.Scheduling;

public sealed class AdmissionQueueTests
{
    [Fact]
    public async Task Retry_after_follows_what_requests_took()
    {
        var time = new FakeTimeProvider();
        var queue = new AdmissionQueue(0, time);
        var before = await RetryAfter(queue);
        for (var round = 0; round < 10; round++)
        {
            using (await queue.EnterAsync(default)) time.Advance(TimeSpan.FromSeconds(20));
        }

        var after = await RetryAfter(queue);
        Assert.True(after > before, $"{after} after long requests, {before} before");
    }

    [Fact]
    public async Task A_cancelled_waiter_leaves_its_place_at_once()
    {
        var queue = new AdmissionQueue(1, TimeProvider.System);
        var running = await queue.EnterAsync(default);
        using var source = new CancellationTokenSource();
        var waiting = queue.EnterAsync(source.Token);
        await source.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        Assert.Equal(1, queue.Count);
        var next = queue.EnterAsync(default); // the place is free again
        running.Dispose();
        running.Dispose(); // twice is once
        (await next).Dispose();
        Assert.Equal(0, queue.Count);
    }

    // thousands of random arrivals, departures and cancellations against a plain list as the model
    [Fact]
    public void Never_two_at_once_never_out_of_order_never_lost()
    {
        Gen.Int[0, 3].Array[1, 60].Sample(operations =>
        {
            var queue = new AdmissionQueue(4, TimeProvider.System);
            var line = new List<(Task<IDisposable> Turn, CancellationTokenSource Source)>();
            foreach (var operation in operations)
            {
                switch (operation)
                {
                    case 0 or 1:
                        var source = new CancellationTokenSource();
                        var turn = queue.EnterAsync(source.Token);
                        if (line.Count == 5) Assert.Equal(StageErrorKind.Overloaded, Assert.Throws<StageException>(() => turn.GetAwaiter().GetResult()).Kind);
                        else line.Add((turn, source));
                        break;
                    case 2 when line.Count > 0:
                        line[0].Turn.GetAwaiter().GetResult().Dispose();
                        line.RemoveAt(0);
                        break;
                    case 3 when line.Count > 1:
                        line[^1].Source.Cancel();
                        Assert.ThrowsAny<OperationCanceledException>(() => line[^1].Turn.GetAwaiter().GetResult());
                        line.RemoveAt(line.Count - 1);
                        break;
                }

                Assert.Equal(line.Count, queue.Count);
                Assert.All(line.Skip(1), waiter => Assert.False(waiter.Turn.IsCompleted));
            }

            foreach (var (turn, _) in line) turn.GetAwaiter().GetResult().Dispose();
            return queue.Count == 0;
        }, iter: 2000, threads: 1);
    }

    private static async Task<TimeSpan> RetryAfter(AdmissionQueue queue)
    {
        using var running = await queue.EnterAsync(default);
        var refused = await Assert.ThrowsAsync<StageException>(() => queue.EnterAsync(default));
        return refused.RetryAfter!.Value;
    }
}
