using System.Globalization;
using Flamingo.Abstractions;
using Flamingo.Wire;
using Microsoft.AspNetCore.Http;

namespace Flamingo.Gateway.Security;

/// <summary>
/// Answers a request that goes no further. The request's body stays unread. gRPC and gRPC-Web get a status in the headers, and all others
/// an error in OpenAI's shape.
/// </summary>
internal static class Refusal
{
    public static Task WriteAsync(HttpContext context, FlamingoException refusal)
    {
        if (context.Request.ContentType is { } type && type.StartsWith("application/grpc", StringComparison.OrdinalIgnoreCase))
        {
            WriteStatus(context.Response, type, refusal);
            return Task.CompletedTask;
        }

        var (response, (status, kind, code)) = (context.Response, Describe(refusal));
        response.StatusCode = status;
        response.Headers.TryAdd("x-request-id", context.TraceIdentifier);
        if (ErrorWire.RunningTrace is { } trace) response.Headers.TryAdd(ErrorWire.TraceHeader, trace);
        if (status == StatusCodes.Status401Unauthorized)
            response.Headers.WWWAuthenticate = context.Request.Headers.Authorization.Count == 0
                ? "Bearer realm=\"flamingo\"" : "Bearer realm=\"flamingo\", error=\"invalid_token\"";
        if (refusal.RetryAfter is { } wait)
            response.Headers.RetryAfter = ErrorWire.RetrySeconds(wait);
        var param = refusal.Faults.Count > 0 ? refusal.Faults[0].Field : null;
        return response.WriteAsJsonAsync(new { error = new { message = refusal.Message, type = kind, param, code } });
    }

    private static void WriteStatus(HttpResponse response, string type, FlamingoException refusal)
    {
        var failure = refusal.ToRpcException();
        response.StatusCode = StatusCodes.Status200OK;
        response.ContentType = type;
        response.Headers["grpc-status"] = ((int)failure.StatusCode).ToString(CultureInfo.InvariantCulture);
        response.Headers["grpc-message"] = Uri.EscapeDataString(failure.Status.Detail);
        foreach (var entry in failure.Trailers)
            response.Headers.Append(entry.Key, entry.IsBinary ? Convert.ToBase64String(entry.ValueBytes) : entry.Value);
    }

    private static (int Status, string Type, string? Code) Describe(FlamingoException refusal) => refusal.Kind switch
    {
        FlamingoErrorKind.Unauthenticated => (StatusCodes.Status401Unauthorized, "invalid_request_error", "invalid_api_key"),
        FlamingoErrorKind.InvalidArgument => (StatusCodes.Status400BadRequest, "invalid_request_error", null),
        FlamingoErrorKind.Overloaded => (StatusCodes.Status429TooManyRequests, "rate_limit_error", "rate_limit_exceeded"),
        FlamingoErrorKind.Unavailable => (StatusCodes.Status503ServiceUnavailable, "server_error", null),
        _ => (StatusCodes.Status500InternalServerError, "server_error", null),
    };
}
