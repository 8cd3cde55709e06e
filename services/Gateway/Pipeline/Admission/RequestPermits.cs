using System.Threading.RateLimiting;
using Flamingo.Abstractions;
using Microsoft.Extensions.Logging;

namespace Flamingo.Gateway.Admission;

/// <summary>
/// Bounds the number of requests that run at once and the number of requests that wait. Waiting requests are admitted in order of
/// arrival.
/// </summary>
public sealed class RequestPermits(GatewayOptions options, ILogger<RequestPermits> logger) : IDisposable
{
    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(1);

    private readonly ConcurrencyLimiter _limiter = new(new ConcurrencyLimiterOptions
    {
        PermitLimit = options.MaxConcurrentRequests,
        QueueLimit = options.MaxQueuedRequests,
        QueueProcessingOrder = QueueProcessingOrder.OldestFirst,
    });

    /// <summary>Waits for a permit. Disposing the permit admits the next request.</summary>
    /// <exception cref="FlamingoException">Overloaded, with RetryAfter: too many requests are waiting.</exception>
    public async ValueTask<IDisposable> EnterAsync(CancellationToken cancellation)
    {
        var permit = await _limiter.AcquireAsync(1, cancellation);
        if (permit.IsAcquired) return permit;
        permit.Dispose();
        GatewayLog.Overloaded(logger, options.MaxConcurrentRequests, options.MaxQueuedRequests);
        throw new FlamingoException(
            FlamingoErrorKind.Overloaded,
            "The gateway has too many waiting requests. Retry in 1 s, or raise Gateway:MaxQueuedRequests.")
        {
            RetryAfter = RetryAfter,
        };
    }

    public void Dispose() => _limiter.Dispose();
}
