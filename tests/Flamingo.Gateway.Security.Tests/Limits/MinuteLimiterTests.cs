using System.Threading.RateLimiting;
using Flamingo.Gateway.Security.Limits;
using Microsoft.Extensions.Time.Testing;

namespace Flamingo.Gateway.Security.Tests.Limits;

/// <summary>The balance of a minute.</summary>
public sealed class MinuteLimiterTests
{
    private readonly FakeTimeProvider _time = new();

    [Fact]
    public void A_minute_gives_its_count_at_once_and_then_evenly()
    {
        using var limiter = new MinuteLimiter(60, _time);
        for (var count = 0; count < 60; count++) Assert.True(Take(limiter, 1));
        Assert.Equal(1, Refused(limiter).TotalSeconds, 3);
        _time.Advance(TimeSpan.FromMilliseconds(999));
        Assert.Equal(0.001, Refused(limiter).TotalSeconds, 3);
        _time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.True(Take(limiter, 1));
        Assert.False(Take(limiter, 1));
        _time.Advance(TimeSpan.FromHours(1)); // what is not used is not saved for later
        for (var count = 0; count < 60; count++) Assert.True(Take(limiter, 1));
        Assert.False(Take(limiter, 1));
    }

    [Fact]
    public void What_begins_may_overdraw_and_the_next_one_waits_until_it_is_made_up_for()
    {
        using var limiter = new MinuteLimiter(60, _time);
        using (var lease = (MinuteLimiter.Lease)limiter.AttemptAcquire(0)) lease.Charge(180);
        Assert.Equal(-120, limiter.GetStatistics().CurrentAvailablePermits);
        Assert.Equal(121, Refused(limiter).TotalSeconds, 3);
        _time.Advance(TimeSpan.FromSeconds(121));
        Assert.True(Take(limiter, 1000));
        Assert.False(Take(limiter, 0));
    }

    [Fact]
    public void A_balance_is_kept_while_it_is_in_use_or_not_full()
    {
        using var limiter = new MinuteLimiter(60, _time);
        var lease = limiter.AttemptAcquire(0);
        _time.Advance(TimeSpan.FromHours(1));
        Assert.Null(limiter.IdleDuration);
        ((MinuteLimiter.Lease)lease).Charge(30);
        lease.Dispose();
        lease.Dispose();
        _time.Advance(TimeSpan.FromSeconds(29));
        Assert.Null(limiter.IdleDuration);
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(TimeSpan.FromSeconds(30), limiter.IdleDuration);
    }

    [Fact]
    public void Random_uses_never_exceed_the_rate()
    {
        var random = new Random(7);
        using var limiter = new MinuteLimiter(600, _time);
        var (taken, begun) = (0L, _time.GetUtcNow());
        for (var round = 0; round < 10_000; round++)
        {
            _time.Advance(TimeSpan.FromMilliseconds(random.Next(200)));
            var count = random.Next(1, 20);
            var allowed = 600 + ((_time.GetUtcNow() - begun).TotalMinutes * 600);
            if (Take(limiter, count))
            {
                Assert.True(taken + 1 <= allowed + 1e-6, $"{taken} of {allowed} were taken and a call began.");
                taken += count;
            }
            else
            {
                Assert.True(taken + 1 > allowed - 600 - 1e-6, "A call was refused although a whole minute was left.");
            }
        }

        Assert.True(taken > 600);
    }

    private static bool Take(MinuteLimiter limiter, int count)
    {
        using var lease = limiter.AttemptAcquire(count);
        return lease.IsAcquired;
    }

    private static TimeSpan Refused(MinuteLimiter limiter)
    {
        using var lease = limiter.AttemptAcquire(1);
        Assert.False(lease.IsAcquired);
        Assert.True(lease.TryGetMetadata(MetadataName.RetryAfter, out var wait));
        return wait;
    }
}
