using System.Threading.RateLimiting;
using Flamingo.Abstractions;
using Flamingo.Wire;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.RateLimiting;
using Microsoft.Extensions.Options;

namespace Flamingo.Gateway.Security.Limits;

/// <summary>
/// The limits of every tenant. Requests are limited by ASP.NET Core's rate limiting before their body is read; pictures and tokens are
/// limited where requests of all doors are known, see <see cref="LimitedFlamingo"/>. What is known of a tenant is forgotten when it has
/// used nothing for some seconds and has its full minute again.
/// </summary>
internal sealed class TenantLimits : IDisposable
{
    private const string None = "-"; // no tenant has this name, because a tenant's name comes with its prefix

    private static readonly TimeSpan RetryConcurrent = TimeSpan.FromSeconds(1);

    private readonly PartitionedRateLimiter<string>? _pictures, _tokens;
    private readonly SecurityMetrics _metrics;

    public TenantLimits(IOptions<LimitOptions> options, SecurityMetrics metrics, TimeProvider time)
    {
        _metrics = metrics;
        var limits = options.Value;
        _pictures = PerMinute(limits.PicturesPerMinute);
        _tokens = PerMinute(limits.TokensPerMinute);
        // A request that is one too many at once does not count as one of the minute.
        PartitionedRateLimiter<HttpContext>?[] ofRequests =
        [
            limits.ConcurrentRequests == 0 ? null : OfRequests(() => new ConcurrencyLimiter(new ConcurrencyLimiterOptions
            {
                PermitLimit = limits.ConcurrentRequests, QueueLimit = 0,
            })),
            limits.RequestsPerMinute == 0 ? null : OfRequests(() => new MinuteLimiter(limits.RequestsPerMinute, time)),
        ];
        if (ofRequests.OfType<PartitionedRateLimiter<HttpContext>>().ToArray() is { Length: > 0 } all)
            Requests = PartitionedRateLimiter.CreateChained(all);

        PartitionedRateLimiter<string>? PerMinute(int most) => most == 0 ? null : PartitionedRateLimiter.Create<string, string>(
            tenant => RateLimitPartition.Get(tenant, _ => new MinuteLimiter(most, time)), StringComparer.Ordinal);
    }

    /// <summary>Limits requests, per minute and at once; null if neither is limited.</summary>
    public PartitionedRateLimiter<HttpContext>? Requests { get; }

    public bool LimitUse => _pictures is not null || _tokens is not null;

    /// <summary>Answers a request that <see cref="Requests"/> has refused.</summary>
    public ValueTask RefuseAsync(OnRejectedContext refused, CancellationToken cancellation)
    {
        var ofMinute = refused.Lease.TryGetMetadata(MetadataName.RetryAfter, out var wait);
        _metrics.CountLimit(ofMinute ? nameof(LimitOptions.RequestsPerMinute) : nameof(LimitOptions.ConcurrentRequests));
        return new(Refusal.WriteAsync(refused.HttpContext, ofMinute
            ? Overloaded("requests", nameof(LimitOptions.RequestsPerMinute), wait)
            : new FlamingoException(
                FlamingoErrorKind.Overloaded,
                "As many requests of this tenant as Limits:ConcurrentRequests allows are being served. Send fewer at once.")
            {
                RetryAfter = RetryConcurrent,
            }));
    }

    /// <summary>Lets a tenant begin a call and takes its pictures from the tenant's minute.</summary>
    /// <param name="usesTokens">Whether the call will use tokens, which are charged to the result.</param>
    /// <returns>Where the call's tokens are charged. The caller disposes it when the call has ended.</returns>
    /// <exception cref="FlamingoException">Overloaded: the tenant has used its pictures or tokens; RetryAfter says until when.</exception>
    public TokenAccount Begin(string tenant, int pictures, bool usesTokens)
    {
        var tokens = usesTokens ? Begin(_tokens, tenant, 0, "tokens", nameof(LimitOptions.TokensPerMinute)) : null;
        try
        {
            if (pictures > 0)
                Begin(_pictures, tenant, pictures, "pictures", nameof(LimitOptions.PicturesPerMinute))?.Dispose();
            return new TokenAccount(tokens);
        }
        catch
        {
            tokens?.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        _pictures?.Dispose();
        _tokens?.Dispose();
        Requests?.Dispose();
    }

    private RateLimitLease? Begin(PartitionedRateLimiter<string>? limiter, string tenant, int count, string what, string option)
    {
        if (limiter?.AttemptAcquire(tenant, count) is not { } lease) return null;
        if (lease.IsAcquired) return lease;
        _metrics.CountLimit(option);
        using (lease) throw Overloaded(what, option, lease.TryGetMetadata(MetadataName.RetryAfter, out var wait) ? wait : RetryConcurrent);
    }

    private static FlamingoException Overloaded(string what, string option, TimeSpan wait) => new(
        FlamingoErrorKind.Overloaded, $"This tenant has used its {what} of this minute (Limits:{option}). Send again later, or send fewer.")
    {
        RetryAfter = wait,
    };

    private static PartitionedRateLimiter<HttpContext> OfRequests(Func<RateLimiter> create) =>
        PartitionedRateLimiter.Create<HttpContext, string>(context => CallerCheck.IsOpen(context)
            ? RateLimitPartition.GetNoLimiter(None)
            : RateLimitPartition.Get("tenant " + context.Request.Headers[TenantHeader.Name], _ => create()), StringComparer.Ordinal);
}

/// <summary>Where the tokens of one call are charged.</summary>
/// <param name="lease">Null if tokens are not limited.</param>
internal sealed class TokenAccount(RateLimitLease? lease) : IDisposable
{
    public void Charge(long tokens) => (lease as MinuteLimiter.Lease)?.Charge(tokens);

    public void Dispose() => lease?.Dispose();
}
