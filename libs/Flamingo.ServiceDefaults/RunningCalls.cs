using System.Collections.Concurrent;
using Microsoft.AspNetCore.Http;

namespace Flamingo.ServiceDefaults;

/// <summary>The calls in flight, so that a stopping service can log which calls it waits for.</summary>
internal sealed class RunningCalls
{
    private readonly ConcurrentDictionary<HttpContext, string> _calls = new(ReferenceEqualityComparer.Instance);

    /// <summary>Middleware that records a call while it is being answered.</summary>
    public async Task CountAsync(HttpContext context, RequestDelegate next)
    {
        _calls[context] = context.Request.Path.Value?.TrimStart('/') ?? "";
        try
        {
            await next(context);
        }
        finally
        {
            _calls.TryRemove(context, out _);
        }
    }

    /// <returns>For example <c>2 calls (flamingo.v1.Flamingo/Generate, flamingo.v1.Flamingo/Rank)</c>; empty for none.</returns>
    public override string ToString()
    {
        var calls = _calls.Values.ToList();
        var names = string.Join(", ", calls.Distinct().Order());
        return calls.Count == 0 ? "" : $"{calls.Count} {(calls.Count == 1 ? "call" : "calls")} ({names})";
    }
}
