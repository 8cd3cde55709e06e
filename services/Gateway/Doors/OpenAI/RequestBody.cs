using System.Buffers;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;

namespace Flamingo.Gateway.Doors.OpenAI;

/// <summary>
/// The parsed body of a request. Long data URLs are set aside before the rest is parsed, because the parser reserves as much memory as its
/// text is long. A placeholder stands for each.
/// </summary>
internal sealed class RequestBody : IDisposable
{
    /// <summary>Most names and values of a body. The parsed document takes 12 bytes for each.</summary>
    private const int MostTokens = 1 << 18;

    private const int MostDepth = 32;
    private const int LongestName = 64;
    private const int LeastSetAside = 16 << 10;

    private readonly JsonDocument _document;
    private readonly List<ReadOnlySequence<byte>> _setAside;
    private readonly Action _release;

    private RequestBody(JsonDocument document, List<ReadOnlySequence<byte>> setAside, Action release) =>
        (_document, _setAside, _release) = (document, setAside, release);

    public JsonElement Root => _document.RootElement;

    // A character that no data URL begins with.
    private static ReadOnlySpan<byte> Placeholder => "\"\\u0000data:"u8;

    /// <param name="body">The body, which must not change until this is disposed.</param>
    /// <param name="release">Is called when the body is not read any more.</param>
    /// <exception cref="OpenAiFault">The body is no JSON, too deep or of too many values.</exception>
    public static RequestBody Parse(ReadOnlySequence<byte> body, Action release)
    {
        var setAside = new List<ReadOnlySequence<byte>>();
        Check(body, setAside);
        var rest = setAside.Count == 0 ? body : WithPlaceholders(body, setAside);
        return new RequestBody(JsonDocument.Parse(rest, new JsonDocumentOptions { MaxDepth = MostDepth + 1 }), setAside, release);
    }

    /// <summary>Whether a text stands for a data URL that was set aside.</summary>
    public static bool IsSetAside(JsonElement text) => JsonMarshal.GetRawUtf8Value(text).StartsWith(Placeholder);

    /// <summary>The JSON of a text, with its quotes and escapes, as it came.</summary>
    public ReadOnlySequence<byte> RawOf(JsonElement text)
    {
        var raw = JsonMarshal.GetRawUtf8Value(text);
        return raw.StartsWith(Placeholder)
            && int.TryParse(raw[Placeholder.Length..^1], NumberStyles.None, CultureInfo.InvariantCulture, out var index)
            && index < _setAside.Count
                ? _setAside[index]
                : new ReadOnlySequence<byte>(raw.ToArray()); // short, or no data URL
    }

    public void Dispose()
    {
        _document.Dispose();
        _release();
    }

    private static ReadOnlySequence<byte> WithPlaceholders(ReadOnlySequence<byte> body, List<ReadOnlySequence<byte>> setAside)
    {
        var (rest, copied) = (new ArrayBufferWriter<byte>(), body.Start);
        foreach (var (index, text) in setAside.Index())
        {
            Copy(body.Slice(copied, text.Start));
            rest.Write(Placeholder);
            rest.Write(Encoding.UTF8.GetBytes(index.ToString(CultureInfo.InvariantCulture)));
            rest.Write("\""u8);
            copied = text.End;
        }

        Copy(body.Slice(copied));
        return new ReadOnlySequence<byte>(rest.WrittenMemory);

        void Copy(ReadOnlySequence<byte> part)
        {
            foreach (var piece in part) rest.Write(piece.Span);
        }
    }

    // A pass that keeps nothing but the places of data URLs. It names the first-level field in which a fault is, and bounds what parsing
    // costs.
    private static void Check(ReadOnlySequence<byte> body, List<ReadOnlySequence<byte>> setAside)
    {
        var reader = new Utf8JsonReader(body, new JsonReaderOptions { MaxDepth = 1024 });
        var (field, tokens) = ("", 0);
        try
        {
            while (reader.Read())
            {
                if (reader.TokenType == JsonTokenType.PropertyName && reader.CurrentDepth == 1)
                    field = Encoding.UTF8.GetString(Beginning(in reader, LongestName));
                if (reader.TokenType == JsonTokenType.String && reader.BytesConsumed - reader.TokenStartIndex >= LeastSetAside
                    && Ascii.EqualsIgnoreCase(Beginning(in reader, 5), "data:"u8))
                    setAside.Add(body.Slice(reader.TokenStartIndex, reader.BytesConsumed - reader.TokenStartIndex));
                if (reader.CurrentDepth > MostDepth)
                    throw OpenAiFault.Invalid(field, $"It is nested more than {MostDepth} levels deep.", "Send it flat.", "invalid_json");
                if (++tokens > MostTokens)
                    throw OpenAiFault.Invalid(
                        field, $"The request has more than {MostTokens} names and values.", "Send fewer.", "invalid_json");
            }
        }
        catch (JsonException exception)
        {
            throw OpenAiFault.Invalid(
                field, $"The body is not valid JSON at line {exception.LineNumber + 1}, byte {exception.BytePositionInLine + 1}.",
                "Send one JSON object in UTF-8.", "invalid_json");
        }
    }

    private static ReadOnlySpan<byte> Beginning(in Utf8JsonReader reader, int most) => reader.HasValueSequence
        ? reader.ValueSequence.Slice(0, Math.Min(most, reader.ValueSequence.Length)).ToArray()
        : reader.ValueSpan[..Math.Min(most, reader.ValueSpan.Length)];
}
