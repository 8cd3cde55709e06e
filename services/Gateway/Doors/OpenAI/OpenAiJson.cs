using System.Text.Encodings.Web;
using System.Text.Json;
using Microsoft.AspNetCore.Http;

namespace Flamingo.Gateway.Doors.OpenAI;

/// <summary>Reads a request's body as JSON, with bounds, and writes answers.</summary>
internal static class OpenAiJson
{
    /// <summary>Most bytes of a body: half of what all requests may have in flight by default, in base64.</summary>
    public const int MostBytes = 384 << 20;

    private const int FirstBytes = 1 << 20;

    /// <summary>Text is written as it is; an answer is never part of a page.</summary>
    public static JsonWriterOptions Written { get; } = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Reads the body once into memory and parses it in place.</summary>
    /// <exception cref="OpenAiFault">The body is no JSON, or too large, too deep or of too many values.</exception>
    public static async Task<RequestBody> ReadAsync(HttpContext context)
    {
        if (context.Request.ContentType is { Length: > 0 } type && !context.Request.HasJsonContentType())
            throw new OpenAiFault(StatusCodes.Status415UnsupportedMediaType, "invalid_request_error", "unsupported_media_type",
                $"The content type is '{OpenAiFault.Quote(type)}'. Send application/json.");
        var body = await ReceiveAsync(context.Request, context.RequestAborted);
        return body.IsEmpty
            ? throw OpenAiFault.Invalid("", "The request has no body.", "Send a JSON object.", "invalid_json")
            : RequestBody.Parse(body);
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

    // The array has the size that the caller announced only after a first part has arrived.
    private static async Task<ReadOnlyMemory<byte>> ReceiveAsync(HttpRequest request, CancellationToken cancellation)
    {
        var announced = request.ContentLength;
        if (announced > MostBytes) throw TooLarge();
        var (body, count) = (new byte[Math.Min(announced ?? 4096, FirstBytes)], 0);
        while (true)
        {
            var read = await request.BodyReader.ReadAsync(cancellation);
            foreach (var part in read.Buffer)
            {
                if (count + (long)part.Length > MostBytes) throw TooLarge();
                var needed = count + part.Length;
                if (needed > body.Length)
                    Array.Resize(ref body, (int)Math.Clamp(announced ?? 2L * needed, needed, MostBytes));
                part.Span.CopyTo(body.AsSpan(count));
                count = needed;
            }

            request.BodyReader.AdvanceTo(read.Buffer.End);
            if (read.IsCompleted || read.IsCanceled) return body.AsMemory(0, count);
        }

        static OpenAiFault TooLarge() => OpenAiFault.TooLarge(
            $"The request is larger than {MostBytes >> 20} MiB. Send large pictures to /v1/files first, and then their ids.");
    }
}
