using System.Text.Encodings.Web;
using System.Text.Json;
using Flamingo.Transport.Serving.Arrival;
using Microsoft.AspNetCore.Http;

namespace Flamingo.Gateway.Doors.OpenAI;

/// <summary>Reads a request's body as JSON, with bounds, and writes answers.</summary>
internal static class OpenAiJson
{
    /// <summary>Most bytes of a body: half of what all requests may have in flight by default, in base64.</summary>
    public const int MostBytes = 384 << 20;


    /// <summary>Text is written as it is; an answer is never part of a page.</summary>
    public static JsonWriterOptions Written { get; } = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Receives the whole body and parses it where it lies. Disposing the result releases it.</summary>
    /// <exception cref="OpenAiFault">The body is no JSON, or too large, too deep or of too many values.</exception>
    public static async Task<RequestBody> ReadAsync(HttpContext context)
    {
        if (context.Request.ContentType is { Length: > 0 } type && !context.Request.HasJsonContentType())
            throw new OpenAiFault(StatusCodes.Status415UnsupportedMediaType, "invalid_request_error", "unsupported_media_type",
                $"The content type is '{OpenAiFault.Quote(type)}'. Send application/json.");
        if (context.Request.ContentLength > MostBytes) throw TooLarge();
        var reader = context.Request.BodyReader;
        while (true)
        {
            var read = await reader.ReadAsync(context.RequestAborted);
            if (read.Buffer.Length > MostBytes) throw TooLarge();
            if (!read.IsCompleted)
            {
                reader.AdvanceTo(read.Buffer.Start, read.Buffer.End);
                continue;
            }

            var body = read.Buffer;
            try
            {
                return body.IsEmpty
                    ? throw OpenAiFault.Invalid("", "The request has no body.", "Send a JSON object.", "invalid_json")
                    : RequestBody.Parse(body, Release);
            }
            catch
            {
                Release();
                throw;
            }

            void Release()
            {
                reader.AdvanceTo(body.End);
                ArrivedBody.Of(context)?.Parsed();
            }
        }

        static OpenAiFault TooLarge() => OpenAiFault.TooLarge(
            $"The request is larger than {MostBytes >> 20} MiB. Send large pictures to /v1/files first, and then their ids.");
    }

    public static async Task WriteAsync(HttpContext context, ReadOnlyMemory<byte> json)
    {
        context.Response.ContentType = "application/json; charset=utf-8";
        context.Response.ContentLength = json.Length;
        await context.Response.BodyWriter.WriteAsync(json, context.RequestAborted);
    }

    public static async Task WriteAsync(HttpContext context, Action<Utf8JsonWriter> write)
    {
        using var stream = new MemoryStream();
        await using (var json = new Utf8JsonWriter(stream, Written)) write(json);
        await WriteAsync(context, stream.GetBuffer().AsMemory(0, (int)stream.Length));
    }
}
