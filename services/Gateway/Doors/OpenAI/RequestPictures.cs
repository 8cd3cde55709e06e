using System.Buffers;
using System.Buffers.Text;
using System.Text;
using System.Text.Json;
using Flamingo.Abstractions;

namespace Flamingo.Gateway.Doors.OpenAI;

/// <summary>A picture of a request.</summary>
/// <param name="path">Path of the picture in the request.</param>
internal sealed class RequestPicture(string path)
{
    public string Path { get; } = path;

    /// <summary>The picture; until its file is fetched, that of an https address is missing.</summary>
    public FlamingoVisual? Visual { get; set; }

    public Uri? Address { get; init; }
}

/// <summary>
/// Reads the pictures of one request: data URLs, <c>flamingo:ID</c>, the id of a file, and https addresses, whose files are fetched by
/// <see cref="FetchAsync"/> once the whole request has been read.
/// </summary>
internal sealed class RequestPictures(RequestBody body, PictureFetch fetch, FlamingoModel model)
{
    public const string IdScheme = "flamingo:";

    private const int LongestHeader = 256; // of a data URL

    private readonly List<RequestPicture> _pictures = [];

    /// <summary>The path at which the request names a picture id; null if it does not.</summary>
    public string? PathOf(string id) =>
        _pictures.Find(picture => picture.Visual is FlamingoPictureId known && known.Id == id)?.Path;

    /// <param name="value">A text, or an object with a <c>url</c>.</param>
    public RequestPicture Read(JsonElement value, string path)
    {
        if (value.ValueKind == JsonValueKind.Object)
        {
            var fields = new Fields(value, path);
            var url = fields.Take("url")
                ?? throw OpenAiFault.Invalid(fields.Path("url"), "There is no url.", "Send a data URL.", "missing_field");
            fields.Text("detail");
            fields.RefuseOthers();
            (value, path) = (url, fields.Path("url"));
        }

        if (value.ValueKind != JsonValueKind.String) throw Fields.WrongType(path, value, "a text, or an object with a url");
        return Add(ReadUrl(value, path));
    }

    /// <summary>Adds a picture that is named by its id alone.</summary>
    public RequestPicture ReadId(string id, string path) => Add(new RequestPicture(path) { Visual = new FlamingoPictureId(Bare(id)) });

    public static string Bare(string id) => id.StartsWith(IdScheme, StringComparison.Ordinal) ? id[IdScheme.Length..] : id;

    /// <summary>Fetches the files of all https addresses at once.</summary>
    public Task FetchAsync(CancellationToken cancellation) => Task.WhenAll(
        _pictures.Where(picture => picture.Visual is null).Select(async picture =>
            picture.Visual = new FlamingoPicture(
                await fetch.FetchAsync(picture.Address!, picture.Path, model.Vision.MaxPictureBytes, cancellation))));

    private RequestPicture Add(RequestPicture picture)
    {
        _pictures.Add(picture);
        return picture;
    }

    // The text of a data URL is decoded where it lies in the body. Only a text with escapes is copied first; PHP escapes slashes.
    private RequestPicture ReadUrl(JsonElement value, string path)
    {
        var raw = body.RawOf(value);
        if (raw.PositionOf((byte)'\\') is null) return ReadUrl(raw.Slice(1, raw.Length - 2), path);
        var reader = new Utf8JsonReader(raw);
        reader.Read();
        var text = new byte[raw.Length];
        try
        {
            return ReadUrl(new ReadOnlySequence<byte>(text, 0, reader.CopyString(text)), path);
        }
        catch (InvalidOperationException)
        {
            throw OpenAiFault.Invalid(path, "A text is not valid Unicode.", "Send UTF-8.", "invalid_json");
        }
    }

    private RequestPicture ReadUrl(ReadOnlySequence<byte> url, string path)
    {
        var header = url.Slice(0, Math.Min(url.Length, LongestHeader)).ToArray();
        var start = Encoding.UTF8.GetString(header);
        if (start.StartsWith("data:", StringComparison.OrdinalIgnoreCase)) return new(path) { Visual = Decode(url, header, path) };
        if (start.StartsWith(IdScheme, StringComparison.OrdinalIgnoreCase))
            return new(path) { Visual = new FlamingoPictureId(Encoding.UTF8.GetString(url)[IdScheme.Length..]) };
        if (start.StartsWith("https:", StringComparison.OrdinalIgnoreCase))
            return new(path) { Address = fetch.Check(Encoding.UTF8.GetString(url), path) };
        throw OpenAiFault.Invalid(
            path, "This is no picture that this service can read.",
            $"Send a data URL (data:image/png;base64,…), {IdScheme}ID with the id of an earlier picture, or an https address.");
    }

    private FlamingoPicture Decode(ReadOnlySequence<byte> url, byte[] header, string path)
    {
        var comma = Array.IndexOf(header, (byte)',');
        if (comma < 0 || !Encoding.UTF8.GetString(header, 0, comma).EndsWith(";base64", StringComparison.OrdinalIgnoreCase))
            throw OpenAiFault.Invalid(path, "The data URL has no base64.", "Send data:image/png;base64,… with the file in base64.");
        var text = url.Slice(comma + 1);
        var most = Base64.GetMaxDecodedFromUtf8Length((int)text.Length);
        if (most - 2 > model.Vision.MaxPictureBytes)
            throw OpenAiFault.Invalid(
                path, $"About {most} bytes are more than {model.Vision.MaxPictureBytes}.",
                "Send a smaller file; pictures are scaled down anyway.");
        var file = new byte[most];
        return Decode(text, file) is > 0 and var written
            ? new FlamingoPicture(file.AsMemory(0, written))
            : throw OpenAiFault.Invalid(
                path, "The base64 is malformed or empty.", "Send the whole file in base64 with its padding (RFC 4648, section 4).");
    }

    // The body is not contiguous, so its base64 is decoded in blocks. What a block leaves over goes before the next.
    private static int Decode(ReadOnlySequence<byte> text, byte[] file)
    {
        Span<byte> block = stackalloc byte[4096];
        for (var (held, written) = (0, 0); ;)
        {
            var taken = (int)Math.Min(block.Length - held, text.Length);
            text.Slice(0, taken).CopyTo(block[held..]);
            text = text.Slice(taken);
            var whole = block[..(held + taken)];
            var status = Base64.DecodeFromUtf8(whole, file.AsSpan(written), out var consumed, out var count, isFinalBlock: text.IsEmpty);
            written += count;
            if (text.IsEmpty) return status == OperationStatus.Done ? written : 0;
            held = whole.Length - consumed;
            if (status is not (OperationStatus.Done or OperationStatus.NeedMoreData) || held == block.Length) return 0;
            whole[consumed..].CopyTo(block);
        }
    }
}
