using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Flamingo.Cli.Reading;
using Flamingo.Evaluation.Sending;

namespace Flamingo.Cli.Batching;

/// <summary>A line of the input, not parsed yet: a line of a long file is read and its pictures are opened when its turn comes.</summary>
/// <param name="Number">Counted from 1.</param>
internal sealed record BatchLine(long Number, ReadOnlyMemory<byte> Bytes)
{
    private static readonly UTF8Encoding Strict = new(false, throwOnInvalidBytes: true);

    /// <summary>Reads the lines that are not empty, one after another.</summary>
    public static IEnumerable<BatchLine> Read(string file)
    {
        var number = 0L;
        using var input = File.OpenRead(file);
        foreach (var line in ByteLines.Read(input))
        {
            ReadOnlyMemory<byte> bytes = line.Bytes;
            if (number++ == 0 && bytes.Span.StartsWith(Encoding.UTF8.Preamble)) bytes = bytes[Encoding.UTF8.Preamble.Length..];
            if (bytes.Span.ContainsAnyExcept(" \t\r"u8)) yield return new BatchLine(number, bytes);
        }
    }

    /// <returns>An object of which every text can be read; null if a fault was added.</returns>
    public JsonDocument? Parse(List<string> faults)
    {
        string text;
        try
        {
            text = Strict.GetString(Bytes.Span);
        }
        catch (DecoderFallbackException)
        {
            faults.Add("the line is not UTF-8. Save the file in UTF-8.");
            return null;
        }

        var json = JsonText.Parse(text, "the line", Number, faults);
        if (json is null) return null;
        if (json.RootElement.ValueKind != JsonValueKind.Object) faults.Add("the line must be a JSON object.");
        // Only an escape can stand for half of a character, which JSON allows and no text can hold.
        else if (text.Contains("\\ud", StringComparison.OrdinalIgnoreCase) && !IsReadable(json.RootElement))
            faults.Add("the line has half of a surrogate pair, such as \\ud83d without its second half. Write the whole character.");
        else if (IdOf(json.RootElement) is { ValueKind: not (JsonValueKind.String or JsonValueKind.Number) })
            faults.Add("id: must be a string or a number.");
        if (faults.Count == 0) return json;
        json.Dispose();
        return null;
    }

    /// <returns>The line's own id, also where the rest of the line is wrong; null if there is none.</returns>
    public JsonNode? Id()
    {
        try
        {
            using var json = JsonDocument.Parse(Bytes);
            return json.RootElement.ValueKind != JsonValueKind.Object ? null : IdOf(json.RootElement) switch
            {
                { ValueKind: JsonValueKind.String } id => JsonValue.Create(id.GetString()),
                { ValueKind: JsonValueKind.Number } id => JsonNode.Parse(id.GetRawText()),
                _ => null,
            };
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            return null;
        }
    }

    private static JsonElement? IdOf(JsonElement line) =>
        line.TryGetProperty("id", out var id) || line.TryGetProperty("custom_id", out id) ? id : null;

    private static bool IsReadable(JsonElement value)
    {
        try
        {
            return value.ValueKind switch
            {
                JsonValueKind.Object => value.EnumerateObject().All(member => member.Name is not null && IsReadable(member.Value)),
                JsonValueKind.Array => value.EnumerateArray().All(IsReadable),
                JsonValueKind.String => value.GetString() is not null,
                _ => true,
            };
        }
        catch (InvalidOperationException)
        {
            return false;
        }
    }
}
