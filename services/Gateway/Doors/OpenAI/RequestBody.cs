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
    private readonly List<ReadOnlyMemory<byte>> _setAside;

    private RequestBody(JsonDocument document, List<ReadOnlyMemory<byte>> setAside) => (_document, _setAside) = (document, setAside);

    public JsonElement Root => _document.RootElement;

    // A character that no data URL begins with.
    private static ReadOnlySpan<byte> Placeholder => "\"\\u0000data:"u8;

    /// <exception cref="OpenAiFault">The body is no JSON, too deep or of too many values.</exception>
    public static RequestBody Parse(ReadOnlyMemory<byte> body)
    {
        var setAside = new List<Range>();
        Check(body.Span, setAside);
        var rest = setAside.Count == 0 ? body : WithPlaceholders(body.Span, setAside);
        return new RequestBody(
            JsonDocument.Parse(rest, new JsonDocumentOptions { MaxDepth = MostDepth + 1 }), [.. setAside.Select(range => body[range])]);
    }

    /// <summary>Whether a text stands for a data URL that was set aside.</summary>
    public static bool IsSetAside(JsonElement text) => JsonMarshal.GetRawUtf8Value(text).StartsWith(Placeholder);

    /// <summary>The JSON of a text, with its quotes and escapes, as it came.</summary>
    public ReadOnlySpan<byte> RawOf(JsonElement text)
    {
        var raw = JsonMarshal.GetRawUtf8Value(text);
        return raw.StartsWith(Placeholder)
            && int.TryParse(raw[Placeholder.Length..^1], NumberStyles.None, CultureInfo.InvariantCulture, out var index)
            && index < _setAside.Count
                ? _setAside[index].Span
                : raw;
    }

    public void Dispose() => _document.Dispose();

    private static ReadOnlyMemory<byte> WithPlaceholders(ReadOnlySpan<byte> body, List<Range> setAside)
    {
        var (rest, copied) = (new ArrayBufferWriter<byte>(), 0);
        foreach (var (index, range) in setAside.Index())
        {
            rest.Write(body[copied..range.Start.Value]);
            rest.Write(Placeholder);
            rest.Write(Encoding.UTF8.GetBytes(index.ToString(CultureInfo.InvariantCulture)));
            rest.Write("\""u8);
            copied = range.End.Value;
        }

        rest.Write(body[copied..]);
        return rest.WrittenMemory;
    }

    // A pass that keeps nothing but the places of data URLs. It names the first-level field in which a fault is, and bounds what parsing
    // costs.
    private static void Check(ReadOnlySpan<byte> body, List<Range> setAside)
    {
        var reader = new Utf8JsonReader(body, new JsonReaderOptions { MaxDepth = 1024 });
        var (field, tokens) = ("", 0);
        try
        {
            while (reader.Read())
            {
                if (reader.TokenType == JsonTokenType.PropertyName && reader.CurrentDepth == 1)
                    field = Encoding.UTF8.GetString(reader.ValueSpan[..Math.Min(LongestName, reader.ValueSpan.Length)]);
                if (reader.TokenType == JsonTokenType.String && reader.ValueSpan.Length >= LeastSetAside
                    && Ascii.EqualsIgnoreCase(reader.ValueSpan[..5], "data:"u8))
                    setAside.Add((int)reader.TokenStartIndex..(int)reader.BytesConsumed);
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
}
