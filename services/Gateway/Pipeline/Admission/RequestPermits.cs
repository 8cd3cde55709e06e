using System.Threading.RateLimiting;
using Flamingo.Abstractions;
using Microsoft.Extensions.Logging;

namespace Flamingo.Gateway.Admission;

/// <summary>Bounds the number of requests in work, and the number of requests that wait for others to end. The oldest goes next.</summary>
public sealed class RequestPermits(GatewayOptions options, ILogger<RequestPermits> logger) : IDisposable
{
    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(1);

    private readonly ConcurrencyLimiter _limiter = new(new ConcurrencyLimiterOptions
    {
        PermitLimit = options.MaxConcurrentRequests,
        QueueLimit = options.MaxQueuedRequests,
        QueueProcessingOrder = QueueProcessingOrder.OldestFirst,
    });

    /// <summary>Disposing the permit lets the next request in.</summary>
    /// <exception cref="FlamingoException">Overloaded, with RetryAfter.</exception>
    public async ValueTask<IDisposable> EnterAsync(CancellationToken cancellation)
    {
        var permit = await _limiter.AcquireAsync(1, cancellation);
        if (permit.IsAcquired) return permit;
        permit.Dispose();
        GatewayLog.Overloaded(logger, options.MaxConcurrentRequests, options.MaxQueuedRequests);
        throw new FlamingoException(
            FlamingoErrorKind.Overloaded,
            "The gateway has as many requests as it takes. Try again in 1 s, or raise Gateway:MaxQueuedRequests.")
        {
            RetryAfter = RetryAfter,
        };
    }

    public void Dispose() => _limiter.Dispose();
}
