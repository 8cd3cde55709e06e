using System.Security.Claims;
using Flamingo.Abstractions;
using Flamingo.Gateway.Security.Keys;
using Flamingo.Wire;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Flamingo.Gateway.Security;

/// <summary>
/// Middleware that lets a request pass only with a key or a token, except to endpoints that allow anonymous callers, which are the health
/// checks. It sets the tenant's header and the caller's role, from which everything behind it learns them.
/// </summary>
internal sealed class CallerCheck(
    KeyRing? keys, IssuerTokens? tokens, SecurityMetrics metrics, TimeProvider time, ILogger<CallerCheck> log)
{
    private const string Scheme = "Bearer ";

    private static readonly TimeSpan LogPeriod = TimeSpan.FromMinutes(1), IssuerRetry = TimeSpan.FromSeconds(5);

    private readonly Lock _logging = new();
    private long? _logged;
    private long _unlogged;

    /// <returns>Whether everybody may call this endpoint.</returns>
    public static bool IsOpen(HttpContext context) => context.GetEndpoint()?.Metadata.GetMetadata<IAllowAnonymous>() is not null;

    public async Task CheckAsync(HttpContext context, RequestDelegate next)
    {
        var headers = context.Request.Headers;
        if (IsOpen(context))
        {
            headers.Remove(TenantHeader.Name);
            await next(context);
            return;
        }

        try
        {
            var caller = await IdentifyAsync(headers.Authorization.ToString(), context.RequestAborted);
            if (headers.ContainsKey(TenantHeader.Name))
                throw FlamingoException.Invalid(
                    TenantHeader.Name, $"The key decides the tenant, so the header {TenantHeader.Name} is refused.",
                    "Leave it out, and use a key of that tenant.");
            if (caller.Tenant != TenantName.Default) headers[TenantHeader.Name] = caller.Tenant;
            context.User = new ClaimsPrincipal(new ClaimsIdentity(
            [
                new Claim(ClaimTypes.Name, caller.Name), .. caller.IsOperator ? [new Claim(ClaimTypes.Role, OperatorCalls.Role)]
                    : Array.Empty<Claim>(),
            ], Scheme.Trim()));
        }
        catch (FlamingoException refusal)
        {
            metrics.Count(refusal);
            if (refusal.Kind == FlamingoErrorKind.Unauthenticated) Count(context, refusal.Message);
            await Refusal.WriteAsync(context, refusal);
            return;
        }

        await next(context);
    }

    private async ValueTask<Caller> IdentifyAsync(string authorization, CancellationToken cancellation)
    {
        if (authorization.Length == 0)
            throw Caller.Unknown(
                "This server asks for a key. Send it as 'Authorization: Bearer flm_…' (over gRPC as metadata), or to the command line as "
                + "--key or FLAMINGO_KEY.");
        var text = authorization.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase) ? authorization[Scheme.Length..].Trim() : "";
        if (keys is not null && AccessKey.Parse(text) is { } key) return Caller.Of(keys.Find(key));
        if (tokens is null || text.StartsWith(AccessKey.Prefix, StringComparison.Ordinal))
            throw Caller.Unknown("The Authorization header holds no key of this server. Send 'Bearer flm_ID_SECRET' as it was shown.");
        try
        {
            return await tokens.ReadAsync(text, cancellation);
        }
        catch (FlamingoException failure) when (failure.Kind == FlamingoErrorKind.Unavailable)
        {
            throw new FlamingoException(failure.Kind, failure.Message, failure) { RetryAfter = IssuerRetry };
        }
    }

    // At most one message a minute, because anybody may cause them.
    private void Count(HttpContext context, string reason)
    {
        long count;
        lock (_logging)
        {
            _unlogged++;
            if (_logged is { } last && time.GetElapsedTime(last) < LogPeriod) return;
            (count, _unlogged, _logged) = (_unlogged, 0, time.GetTimestamp());
        }

        log.CallersRefused(count, $"{context.Connection.RemoteIpAddress}", reason);
    }
}
