using System.Threading.RateLimiting;
using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Gateway.Admission;

/// <summary>A bounded number of requests in work, a bounded number waiting, oldest first.</summary>
public sealed class RequestPermits : IDisposable
{
    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(1);
    private readonly ConcurrencyLimiter _limiter;

    public RequestPermits(GatewayOptions options) => _limiter = new ConcurrencyLimiter(new ConcurrencyLimiterOptions
    {
        PermitLimit = options.MaxConcurrentRequests,
        QueueLimit = options.MaxQueuedRequests,
        QueueProcessingOrder = QueueProcessingOrder.OldestFirst,
    });

    /// <summary>Disposing the permit lets the next request in.</summary>
    /// <exception cref="FlamingoException">Overloaded, with RetryAfter.</exception>
    public async ValueTask<IDisposable> EnterAsync(CancellationToken cancellation)
    {
        var lease = await _limiter.AcquireAsync(1, cancellation);
        if (lease.IsAcquired) return lease;
        lease.Dispose();
        throw new FlamingoException(FlamingoErrorKind.Overloaded, "The gateway has as many requests as it takes. Try again in 1 s, or raise Gateway:MaxQueuedRequests.") { RetryAfter = RetryAfter };
    }

    public void Dispose() => _limiter.Dispose();
}
