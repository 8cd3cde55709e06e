using System.Diagnostics.CodeAnalysis;
using System.Threading.RateLimiting;

namespace Flamingo.Gateway.Security.Limits;

/// <summary>
/// A balance that fills evenly, up to what one minute gives. Whoever asks while at least one is left may begin, and may take more than is
/// left; the next one waits until the balance is positive again. .NET's token bucket cannot be overdrawn, and reads the clock itself.
/// </summary>
public sealed class MinuteLimiter(int perMinute, TimeProvider time) : RateLimiter
{
    private readonly Lock _lock = new();
    private double _balance = perMinute;
    private long _filled = time.GetTimestamp(), _used = time.GetTimestamp();
    private int _open;

    /// <summary>How long nobody has used it; null while it is in use or not full, so that its balance is not forgotten.</summary>
    public override TimeSpan? IdleDuration
    {
        get
        {
            lock (_lock)
            {
                Fill();
                return _open == 0 && _balance >= perMinute ? time.GetElapsedTime(_used) : null;
            }
        }
    }

    public override RateLimiterStatistics GetStatistics()
    {
        lock (_lock)
        {
            Fill();
            return new RateLimiterStatistics { CurrentAvailablePermits = (long)Math.Floor(_balance) };
        }
    }

    /// <param name="permitCount">What is taken at once; 0 only asks whether the caller may begin.</param>
    protected override RateLimitLease AttemptAcquireCore(int permitCount)
    {
        lock (_lock)
        {
            Fill();
            if (_balance < 1) return new Lease(null, TimeSpan.FromMinutes((1 - _balance) / perMinute));
            _balance -= permitCount;
            _open++;
            return new Lease(this, default);
        }
    }

    protected override ValueTask<RateLimitLease> AcquireAsyncCore(int permitCount, CancellationToken cancellationToken) =>
        ValueTask.FromResult(AttemptAcquireCore(permitCount));

    private void Fill()
    {
        _balance = Math.Min(perMinute, _balance + (time.GetElapsedTime(_filled).TotalMinutes * perMinute));
        _filled = time.GetTimestamp();
    }

    /// <summary>Permission to begin, or its refusal. While it is not disposed, the balance is not forgotten.</summary>
    public sealed class Lease(MinuteLimiter? limiter, TimeSpan retryAfter) : RateLimitLease
    {
        private bool _isOpen = limiter is not null;

        public override bool IsAcquired => limiter is not null;

        public override IEnumerable<string> MetadataNames => IsAcquired ? [] : [MetadataName.RetryAfter.Name];

        public override bool TryGetMetadata(string metadataName, [NotNullWhen(true)] out object? metadata)
        {
            metadata = !IsAcquired && metadataName == MetadataName.RetryAfter.Name ? retryAfter : null;
            return metadata is not null;
        }

        /// <summary>Takes this much more, whether or not as much is left.</summary>
        public void Charge(long count)
        {
            lock (limiter!._lock)
            {
                limiter.Fill();
                limiter._balance -= count;
            }
        }

        protected override void Dispose(bool disposing)
        {
            if (!_isOpen) return;
            _isOpen = false;
            lock (limiter!._lock) (limiter._open, limiter._used) = (limiter._open - 1, limiter._filled);
        }
    }
}
