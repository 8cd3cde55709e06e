using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Wire;
using Microsoft.AspNetCore.Http;

namespace Flamingo.Gateway.Doors.OpenAI;

/// <summary>An error in OpenAI's shape: <c>{"error": {"message", "type", "param", "code"}}</c> with an HTTP status.</summary>
/// <param name="param">Path of the wrong field in the caller's own request, for example <c>messages[2].content[0].image_url</c>.</param>
internal sealed class OpenAiFault(int status, string type, string code, string message, string? param = null) : Exception(message)
{
    private const string InvalidRequest = "invalid_request_error", ServerError = "server_error";
    private const int LongestQuote = 64;

    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(1);

    public int Status => status;

    /// <summary>How long to wait before trying again; null where waiting does not help.</summary>
    public TimeSpan? RetryAfter { get; init; }

    /// <param name="param">Path of the wrong field; empty for the request as a whole.</param>
    /// <param name="remedy">One sentence that says what to send instead.</param>
    public static OpenAiFault Invalid(string param, string problem, string remedy, string code = "invalid_value") =>
        new(StatusCodes.Status400BadRequest, InvalidRequest, code, $"{(param.Length > 0 ? param + ": " : "")}{problem} {remedy}",
            param.Length > 0 ? param : null);

    /// <summary>The refusal of a field that this service does not know or cannot obey.</summary>
    public static OpenAiFault Unsupported(string param, string remedy = "Leave it out; docs/openai.md lists what is supported.") =>
        Invalid(param, "This is not supported.", remedy, "unsupported_parameter");

    public static OpenAiFault NotFound(string code, string message, string? param = null) =>
        new(StatusCodes.Status404NotFound, InvalidRequest, code, message, param);

    public static OpenAiFault TooLarge(string message, string? param = null) =>
        new(StatusCodes.Status413PayloadTooLarge, InvalidRequest, "request_too_large", message, param);

    public static OpenAiFault Unexpected() => new(
        StatusCodes.Status500InternalServerError, ServerError, "internal_error",
        "The request failed unexpectedly. The server's log has the details.");

    /// <summary>
    /// Says which status and which words each kind of failure has in OpenAI's API. The native API follows google.rpc instead, see
    /// <see cref="Ports.HttpErrors"/>.
    /// </summary>
    /// <param name="name">Gives the caller's name of a field of the native request.</param>
    /// <param name="picture">Gives the path at which the request names a picture id; null if it does not.</param>
    public static OpenAiFault Of(FlamingoException exception, Func<string, string> name, Func<string, string?> picture)
    {
        var (status, type, code) = exception.Kind switch
        {
            FlamingoErrorKind.InvalidArgument => (StatusCodes.Status400BadRequest, InvalidRequest, "invalid_value"),
            FlamingoErrorKind.NotFound => (StatusCodes.Status404NotFound, InvalidRequest,
                exception.MissingResource == FlamingoException.SupportSet ? "support_set_not_found" : "picture_not_found"),
            FlamingoErrorKind.Unauthenticated => (StatusCodes.Status401Unauthorized, InvalidRequest, "invalid_api_key"),
            FlamingoErrorKind.PermissionDenied => (StatusCodes.Status403Forbidden, "permission_error", "permission_denied"),
            FlamingoErrorKind.Conflict => (StatusCodes.Status409Conflict, InvalidRequest, "conflict"),
            FlamingoErrorKind.Aborted => (StatusCodes.Status409Conflict, InvalidRequest, "aborted"),
            // Without a time to wait, the request is larger than this server ever takes.
            FlamingoErrorKind.Overloaded when exception.RetryAfter is null =>
                (StatusCodes.Status413PayloadTooLarge, InvalidRequest, "request_too_large"),
            FlamingoErrorKind.Overloaded => (StatusCodes.Status429TooManyRequests, "rate_limit_error", "rate_limit_exceeded"),
            FlamingoErrorKind.Unavailable or FlamingoErrorKind.Mismatch =>
                (StatusCodes.Status503ServiceUnavailable, ServerError, "service_unavailable"),
            FlamingoErrorKind.DeadlineExceeded => (StatusCodes.Status504GatewayTimeout, ServerError, "timeout"),
            FlamingoErrorKind.Cancelled => (StatusCodes.Status499ClientClosedRequest, InvalidRequest, "cancelled"),
            _ => (StatusCodes.Status500InternalServerError, ServerError, "internal_error"),
        };
        var faults = exception.Faults.Select(fault => fault with { Field = name(fault.Field) }).ToList();
        var message = faults.Count == 0
            ? exception.Message
            : string.Join(' ', faults) + (exception.FurtherFaults == 0 ? "" : $" And {exception.FurtherFaults} more faults.");
        var param = exception.MissingResource == FlamingoException.SupportSet
            ? "flamingo.support_set"
            : exception.Missing.Select(picture).FirstOrDefault(path => path is not null);
        return new OpenAiFault(status, type, code, message, faults.Count > 0 ? faults[0].Field : param)
        {
            RetryAfter = status == StatusCodes.Status503ServiceUnavailable ? exception.RetryAfter ?? Soon : exception.RetryAfter,
        };
    }

    /// <summary>Shortens a text of the caller for a message.</summary>
    public static string Quote(string text) => text.Length > LongestQuote ? $"{text[..LongestQuote]}…" : text;

    public byte[] ToJson()
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, OpenAiJson.Written))
        {
            json.WriteStartObject();
            json.WriteStartObject("error");
            json.WriteString("message", Message);
            json.WriteString("type", type);
            json.WriteString("param", param);
            json.WriteString("code", code);
            json.WriteEndObject();
            json.WriteEndObject();
        }

        return stream.ToArray();
    }

    public async Task WriteAsync(HttpContext context)
    {
        context.Response.StatusCode = status;
        if (RetryAfter is { } wait)
            context.Response.Headers.RetryAfter = ErrorWire.RetrySeconds(wait);
        await OpenAiJson.WriteAsync(context, ToJson());
    }
}
