using System.Text.Json;
using Flamingo.Abstractions;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Net.Http.Headers;

namespace Flamingo.Gateway.Doors.OpenAI;

/// <summary>
/// <c>/v1/files</c> with purpose vision: a file is a picture that has been encoded, and its id is the picture's id. The service keeps what
/// it computed of a picture as long as its cache does, and neither the file nor its name.
/// </summary>
internal sealed class PictureFiles(IFlamingo flamingo, TimeProvider time)
{
    private const int LongestText = 1024;
    private const int MostParts = 16;

    public async Task PutAsync(HttpContext context)
    {
        var tenant = OpenAiDoor.TenantOf(context);
        var most = (await flamingo.GetModelAsync(context.RequestAborted)).Vision.MaxPictureBytes;
        var (file, name) = await ReceiveAsync(context, most);
        try
        {
            var encoding = await flamingo.EncodeAsync(
                new FlamingoEncodeRequest([new FlamingoPicture(file)]) { Tenant = tenant }, context.RequestAborted);
            await OpenAiJson.WriteAsync(context, json => Write(json, encoding.Pictures[0], name, file.Length));
        }
        catch (FlamingoException failure)
        {
            throw OpenAiFault.Of(failure, _ => "file", _ => null);
        }
    }

    public async Task GetAsync(HttpContext context)
    {
        var picture = await FindAsync(context);
        await OpenAiJson.WriteAsync(context, json => Write(json, picture, picture.Id, bytes: null));
    }

    // The id is the digest of the file, so there is nothing of this caller's own to delete: what the cache holds of the picture may be in
    // use by other requests of the tenant, and leaves the cache by itself. The answer says so instead of promising a deletion.
    public async Task DeleteAsync(HttpContext context)
    {
        var picture = await FindAsync(context);
        await OpenAiJson.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("id", picture.Id);
            json.WriteString("object", "file");
            json.WriteBoolean("deleted", false);
            json.WriteEndObject();
        });
    }

    private async Task<PictureReport> FindAsync(HttpContext context)
    {
        var id = RequestPictures.Bare((string)context.Request.RouteValues["id"]!);
        try
        {
            var request = new FlamingoEncodeRequest([new FlamingoPictureId(id)]) { Tenant = OpenAiDoor.TenantOf(context) };
            return (await flamingo.EncodeAsync(request, context.RequestAborted)).Pictures[0];
        }
        catch (FlamingoException failure)
        {
            throw OpenAiFault.Of(failure, _ => "file_id", _ => "file_id");
        }
    }

    private static async Task<(ReadOnlyMemory<byte> File, string Name)> ReceiveAsync(HttpContext context, int mostBytes)
    {
        if (!MediaTypeHeaderValue.TryParse(context.Request.ContentType, out var type)
            || !type.MediaType.Equals("multipart/form-data", StringComparison.OrdinalIgnoreCase)
            || HeaderUtilities.RemoveQuotes(type.Boundary) is not { Length: > 0 and <= 70 } boundary)
            throw OpenAiFault.Invalid("", "The body is not multipart/form-data.", "Send the fields purpose and file.", "invalid_body");
        var reader = new MultipartReader(boundary.ToString(), context.Request.BodyReader.AsStream());
        var (purpose, name, file) = ((string?)null, "picture", (ReadOnlyMemory<byte>?)null);
        try
        {
            for (var parts = 0; await reader.ReadNextSectionAsync(context.RequestAborted) is { } section; parts++)
            {
                if (parts == MostParts) throw OpenAiFault.Invalid("", $"The body has more than {MostParts} parts.", "Send two.",
                    "invalid_body");
                var field = section.GetContentDispositionHeader() is { } place ? HeaderUtilities.RemoveQuotes(place.Name).ToString() : "";
                switch (field)
                {
                    case "purpose" when purpose is null:
                        purpose = System.Text.Encoding.UTF8.GetString((await ReadAsync(section, LongestText, "purpose", context)).Span);
                        break;
                    case "file" when file is null:
                        name = section.AsFileSection()?.FileName is { Length: > 0 and <= 255 } given ? given : name;
                        file = await ReadAsync(section, mostBytes, "file", context);
                        break;
                    case "purpose" or "file":
                        throw OpenAiFault.Invalid(field, "The field is sent twice.", "Send it once.", "duplicate_field");
                    default:
                        throw OpenAiFault.Unsupported(OpenAiFault.Quote(field));
                }
            }
        }
        catch (Exception exception) when (exception is InvalidDataException or IOException
            && !context.RequestAborted.IsCancellationRequested && exception is not BadHttpRequestException)
        {
            throw OpenAiFault.Invalid("", "The body is not well-formed multipart/form-data.", "Send it whole.", "invalid_body");
        }

        if (purpose is null) throw OpenAiFault.Invalid("purpose", "There is no purpose.", "Send vision.", "missing_field");
        if (purpose != "vision") throw OpenAiFault.Unsupported("purpose", $"'{OpenAiFault.Quote(purpose)}' is not vision.");
        if (file is not { Length: > 0 } sent) throw OpenAiFault.Invalid("file", "There is no file.", "Send a picture.", "missing_field");
        return (sent, name);
    }

    private static async Task<ReadOnlyMemory<byte>> ReadAsync(MultipartSection section, int most, string field, HttpContext context)
    {
        using var content = new MemoryStream();
        var part = new byte[64 << 10];
        while (await section.Body.ReadAsync(part, context.RequestAborted) is > 0 and var count)
        {
            if (content.Length + count > most) throw OpenAiFault.TooLarge($"{field}: It is larger than {most} bytes. Send less.", field);
            content.Write(part, 0, count);
        }

        return content.GetBuffer().AsMemory(0, (int)content.Length);
    }

    private void Write(Utf8JsonWriter json, PictureReport picture, string name, int? bytes)
    {
        json.WriteStartObject();
        json.WriteString("id", picture.Id);
        json.WriteString("object", "file");
        json.WriteNumber("bytes", bytes ?? 0);
        json.WriteNumber("created_at", time.GetUtcNow().ToUnixTimeSeconds());
        json.WriteString("filename", name);
        json.WriteString("purpose", "vision");
        json.WriteString("status", "processed");
        json.WriteStartObject("flamingo");
        json.WriteString("source", OwnJson.NameOf(picture.Source));
        json.WriteEndObject();
        json.WriteEndObject();
    }
}
