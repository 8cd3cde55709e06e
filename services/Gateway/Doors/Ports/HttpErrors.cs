using System.Net.Mime;
using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Gateway.Doors.Native;
using Flamingo.Wire;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Flamingo.Gateway.Doors.Ports;

/// <summary>
/// Answers errors. The paths of the native API answer google.rpc.Status, as its gRPC does; all other paths answer OpenAI's shape,
/// <c>{"error":{"message","type","param","code"}}</c>.
/// </summary>
internal static class HttpErrors
{
    /// <param name="exception">
    /// A <see cref="FlamingoException"/>, a <see cref="BadHttpRequestException"/> with its status, or any other, which is logged.
    /// </param>
    public static Task WriteAsync(HttpContext context, Exception exception)
    {
        if (exception is not (FlamingoException or BadHttpRequestException))
        {
            context.RequestServices.GetRequiredService<ILoggerFactory>().CreateLogger(typeof(HttpErrors))
                .RequestFailed(exception, context.Request.Method, context.Request.Path.Value ?? "", context.TraceIdentifier);
            exception = new FlamingoException(
                FlamingoErrorKind.Internal, "The request failed unexpectedly. The server's log has the details under its x-request-id.");
        }

        var status = StatusOf(exception);
        context.Response.StatusCode = status;
        if ((exception as FlamingoException)?.RetryAfter is { } pause)
            context.Response.Headers.RetryAfter = ErrorWire.RetrySeconds(pause);
        context.Response.ContentType = MediaTypeNames.Application.Json;
        var body = NativeJson.MethodOf(context.GetEndpoint()) is not null
            ? NativeJson.StatusText(exception, status) : OpenAiShape(exception, status);
        context.Response.ContentLength = body.Length;
        return context.Response.Body.WriteAsync(body, context.RequestAborted).AsTask();
    }

    /// <returns>The HTTP status of an error.</returns>
    public static int StatusOf(Exception exception) => exception switch
    {
        BadHttpRequestException http => http.StatusCode,
        FlamingoException flamingo => flamingo.Kind switch
        {
            FlamingoErrorKind.InvalidArgument or FlamingoErrorKind.Mismatch or FlamingoErrorKind.LatentsMissing
                or FlamingoErrorKind.Conflict => StatusCodes.Status400BadRequest,
            FlamingoErrorKind.NotFound => StatusCodes.Status404NotFound,
            FlamingoErrorKind.Aborted => StatusCodes.Status409Conflict,
            FlamingoErrorKind.Unauthenticated => StatusCodes.Status401Unauthorized,
            FlamingoErrorKind.PermissionDenied => StatusCodes.Status403Forbidden,
            // Without a time to wait, it never fits.
            FlamingoErrorKind.Overloaded when flamingo.RetryAfter is null => StatusCodes.Status413PayloadTooLarge,
            FlamingoErrorKind.Overloaded => StatusCodes.Status429TooManyRequests,
            FlamingoErrorKind.Unavailable => StatusCodes.Status503ServiceUnavailable,
            FlamingoErrorKind.DeadlineExceeded => StatusCodes.Status504GatewayTimeout,
            FlamingoErrorKind.Cancelled => StatusCodes.Status408RequestTimeout,
            _ => StatusCodes.Status500InternalServerError,
        },
        _ => StatusCodes.Status500InternalServerError,
    };

    private static byte[] OpenAiShape(Exception exception, int status)
    {
        var (type, code) = status switch
        {
            StatusCodes.Status404NotFound when exception is BadHttpRequestException => ("invalid_request_error", "unknown_url"),
            StatusCodes.Status404NotFound => ("invalid_request_error", "not_found"),
            StatusCodes.Status405MethodNotAllowed => ("invalid_request_error", "method_not_allowed"),
            StatusCodes.Status429TooManyRequests => ("rate_limit_error", "rate_limit_exceeded"),
            >= 500 => ("server_error", null),
            _ => ("invalid_request_error", (string?)null),
        };
        var param = exception is FlamingoException { Faults: [var first, ..] } ? first.Field : null;
        return JsonSerializer.SerializeToUtf8Bytes(new { error = new { message = exception.Message, type, param, code } });
    }
}
