using Flamingo.Abstractions;
using Flamingo.Evaluation.Sending;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace Flamingo.Evaluation.Tests.Sending;

/// <summary>Many requests of one server: as many at once as asked, waiting as told, and nothing lost while it is away.</summary>
public sealed class RequestSenderTests
{
    [Fact(Timeout = 60_000)]
    public async Task Every_request_is_sent_once_and_no_more_than_allowed_at_once()
    {
        var (now, most, asked) = (0, 0, 0);
        var release = new TaskCompletionSource();
        var sender = new RequestSender(new SendingOptions(4, TimeSpan.FromMinutes(1)), TimeProvider.System);
        async Task<int> Ask(int request, CancellationToken cancellation)
        {
            var at = Interlocked.Increment(ref now);
            InterlockedMax(ref most, at);
            if (Interlocked.Increment(ref asked) == 4) release.SetResult(); // the first four are in flight together
            await release.Task.WaitAsync(cancellation);
            Interlocked.Decrement(ref now);
            return request * 2;
        }

        var answers = new List<(int, int)>();
        await foreach (var sent in sender.SendAsync(Enumerable.Range(0, 100), Ask, TestContext.Current.CancellationToken))
            answers.Add((sent.Request, sent.Answer));
        Assert.Equal(Enumerable.Range(0, 100).Select(request => (request, request * 2)), answers.Order());
        Assert.Equal(4, most);
    }

    [Fact(Timeout = 60_000)]
    public async Task The_input_is_not_read_far_ahead_of_answers_that_nobody_takes()
    {
        var read = 0;
        IEnumerable<int> Endless()
        {
            while (true) yield return Interlocked.Increment(ref read);
        }

        var sender = new RequestSender(new SendingOptions(3, TimeSpan.Zero), TimeProvider.System);
        var taken = 0;
        await foreach (var _ in sender.SendAsync(Endless(), (request, _) => Task.FromResult(request),
            TestContext.Current.CancellationToken))
        {
            Assert.True(Volatile.Read(ref read) <= taken + 1 + 3 + 3, $"{read} were read when {taken} answers were taken");
            if (++taken == 50) break;
        }
    }

    [Fact(Timeout = 60_000)]
    public async Task An_overloaded_server_is_asked_again_when_it_says()
    {
        var time = new FakeTimeProvider();
        var waits = new List<TimeSpan>();
        var (attempts, waiting) = (0, new SemaphoreSlim(0));
        var sender = new RequestSender(new SendingOptions(1, TimeSpan.FromMinutes(5)), time, (_, wait) =>
        {
            waits.Add(wait);
            waiting.Release();
        });
        Task<string> Ask(int request, CancellationToken cancellation) => ++attempts < 3
            ? throw new FlamingoException(FlamingoErrorKind.Overloaded, "full") { RetryAfter = TimeSpan.FromSeconds(7 * attempts) }
            : Task.FromResult("done");
        var all = CollectAsync(sender.SendAsync([1], Ask, TestContext.Current.CancellationToken));
        await PassAsync(time, waiting, all);
        Assert.Equal("done", Assert.Single(await all).Answer);
        Assert.Equal([TimeSpan.FromSeconds(7), TimeSpan.FromSeconds(14)], waits);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_server_that_stays_away_is_given_up_after_the_patience_and_other_failures_at_once()
    {
        var time = new FakeTimeProvider();
        var (attempts, waiting) = (0, new SemaphoreSlim(0));
        var sender = new RequestSender(new SendingOptions(1, TimeSpan.FromSeconds(20)), time, (_, _) => waiting.Release());
        Task<string> Ask(string request, CancellationToken cancellation)
        {
            attempts++;
            return request == "wrong" ? throw FlamingoException.Invalid("text", "It is wrong.", "Send another.")
                : throw new FlamingoException(FlamingoErrorKind.Unavailable, "away");
        }

        var all = CollectAsync(sender.SendAsync(["wrong", "away"], Ask, TestContext.Current.CancellationToken));
        await PassAsync(time, waiting, all);
        var sent = await all;
        Assert.Equal([FlamingoErrorKind.InvalidArgument, FlamingoErrorKind.Unavailable], sent.Select(one => one.Failure!.Kind));
        Assert.InRange(attempts, 6, 15); // once for the wrong one, and growing waits for the other
    }

    [Fact(Timeout = 60_000)]
    public async Task An_answer_that_takes_longer_than_the_patience_survives_a_restart()
    {
        var time = new FakeTimeProvider();
        var (attempts, waiting) = (0, new SemaphoreSlim(0));
        var sender = new RequestSender(new SendingOptions(1, TimeSpan.FromSeconds(20)), time, (_, _) => waiting.Release());
        Task<string> Ask(int request, CancellationToken cancellation)
        {
            if (++attempts > 2) return Task.FromResult("done");
            if (attempts == 1) time.Advance(TimeSpan.FromMinutes(10)); // it was computing until the server went away
            throw new FlamingoException(FlamingoErrorKind.Unavailable, "away");
        }

        var all = CollectAsync(sender.SendAsync([1], Ask, TestContext.Current.CancellationToken));
        await PassAsync(time, waiting, all);
        Assert.Equal("done", Assert.Single(await all).Answer);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_defect_ends_everything_and_leaves_nothing_running()
    {
        var running = 0;
        var sender = new RequestSender(new SendingOptions(8, TimeSpan.Zero), TimeProvider.System);
        async Task<int> Ask(int request, CancellationToken cancellation)
        {
            Interlocked.Increment(ref running);
            try
            {
                if (request == 5) throw new InvalidOperationException("a defect");
                await Task.Delay(Timeout.Infinite, cancellation);
                return request;
            }
            finally
            {
                Interlocked.Decrement(ref running);
            }
        }

        await Assert.ThrowsAnyAsync<InvalidOperationException>(() =>
            CollectAsync(sender.SendAsync(Enumerable.Range(0, 100), Ask, TestContext.Current.CancellationToken)));
        Assert.Equal(0, running);
    }

    private static async Task<List<Sent<TRequest, TAnswer>>> CollectAsync<TRequest, TAnswer>(
        IAsyncEnumerable<Sent<TRequest, TAnswer>> answers)
    {
        var all = new List<Sent<TRequest, TAnswer>>();
        await foreach (var sent in answers) all.Add(sent);
        return all;
    }

    // Lets time pass whenever the sender waits, until all answers are there.
    private static async Task PassAsync(FakeTimeProvider time, SemaphoreSlim waiting, Task all)
    {
        while (!all.IsCompleted)
            if (await waiting.WaitAsync(TimeSpan.FromMilliseconds(20), TestContext.Current.CancellationToken)
                || !all.IsCompleted) time.Advance(TimeSpan.FromSeconds(1));
    }

    private static void InterlockedMax(ref int most, int value)
    {
        for (var seen = Volatile.Read(ref most); value > seen; seen = Volatile.Read(ref most))
            if (Interlocked.CompareExchange(ref most, value, seen) == seen) return;
    }
}
