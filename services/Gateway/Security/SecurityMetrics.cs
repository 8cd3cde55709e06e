using System.Diagnostics.Metrics;
using Flamingo.Abstractions;

namespace Flamingo.Gateway.Security;

/// <summary>The meter <c>Flamingo.Gateway.Security</c>: calls that were refused before they reached the gateway, by reason.</summary>
internal sealed class SecurityMetrics : IDisposable
{
    private readonly Meter _meter = new("Flamingo.Gateway.Security");
    private readonly Counter<long> _refusals;

    public SecurityMetrics() => _refusals = _meter.CreateCounter<long>(
        "flamingo.security.refusals", "{call}", "Calls refused for their key or token, or for a limit of their tenant, by reason.");

    /// <param name="limit">Name of the option in section Limits that the tenant has used up.</param>
    public void CountLimit(string limit) => Count(limit switch
    {
        nameof(LimitOptions.RequestsPerMinute) => "requests_per_minute",
        nameof(LimitOptions.ConcurrentRequests) => "concurrent_requests",
        nameof(LimitOptions.PicturesPerMinute) => "pictures_per_minute",
        nameof(LimitOptions.TokensPerMinute) => "tokens_per_minute",
        _ => "other",
    });

    public void Count(FlamingoException refusal) => Count(refusal.Kind switch
    {
        FlamingoErrorKind.Unauthenticated => "unauthenticated",
        FlamingoErrorKind.InvalidArgument => "tenant_header",
        FlamingoErrorKind.Unavailable => "issuer_unavailable",
        _ => "other",
    });

    public void Dispose() => _meter.Dispose();

    private void Count(string reason) => _refusals.Add(1, new KeyValuePair<string, object?>("reason", reason));
}
