using System.Buffers;
using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Flamingo.Abstractions;
using Google.Protobuf.Reflection;
using Google.Protobuf.WellKnownTypes;

namespace Flamingo.Gateway.Doors.Native;

/// <summary>
/// Checks the JSON text of a request against its message, and names the path of each fault. The translation of ASP.NET Core would ignore
/// unknown names and would say of every other fault only that the text is not correct.
/// </summary>
internal sealed partial class NativeRequest
{
    private const int MostDepth = 32;
    private const int MostFaults = 16;
    private const int MostTextBytes = 16 << 20;
    private const int LongestName = 256, LongestQuote = 64;

    private static readonly SearchValues<byte> Base64 =
        SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"u8);

    private readonly List<FieldFault> _faults = [];
    private long _textBytes;

    private NativeRequest()
    {
    }

    /// <exception cref="FlamingoException">InvalidArgument: the text is not JSON, or does not fit the message.</exception>
    public static void Check(ReadOnlySequence<byte> text, MessageDescriptor message)
    {
        var reader = new Utf8JsonReader(text, new JsonReaderOptions { MaxDepth = MostDepth });
        var request = new NativeRequest();
        try
        {
            reader.Read();
            if (reader.TokenType != JsonTokenType.StartObject)
                throw FlamingoException.Invalid(
                    "body", $"It is a JSON {Kind(reader.TokenType)}.", $"Send an object with the fields of {message.FullName}.");
            request.ReadObject(ref reader, message, "");
            reader.Read(); // refuses what follows the object
        }
        catch (JsonException exception)
        {
            throw FlamingoException.Invalid(
                "body", $"It is not JSON of at most {MostDepth} levels, at line {exception.LineNumber + 1}, byte "
                + $"{exception.BytePositionInLine + 1}.", "Send one JSON object in UTF-8.");
        }

        if (request._faults.Count > 0)
            throw FlamingoException.Invalid(
                [.. request._faults.Take(MostFaults)], Math.Max(0, request._faults.Count - MostFaults));
    }

    private void ReadObject(ref Utf8JsonReader reader, MessageDescriptor message, string path)
    {
        HashSet<OneofDescriptor> chosen = [];
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (Length(ref reader) > LongestName)
                throw FlamingoException.Invalid(path.Length == 0 ? "body"
                    : path, "It has a very long name.", "Send the fields of the message.");
            var name = Text(ref reader);
            var field = message.Fields.InDeclarationOrder().FirstOrDefault(one => one.JsonName == name || one.Name == name);
            var at = path.Length == 0 ? Quote(name) : $"{path}.{Quote(name)}";
            reader.Read();
            if (field is null)
            {
                Fault(at, "There is no such field.",
                    $"The fields are {string.Join(", ", message.Fields.InDeclarationOrder().Select(one => one.JsonName))}.");
                reader.Skip();
                continue;
            }

            // null is as if it were absent. The translation does not read it for an array.
            if (reader.TokenType == JsonTokenType.Null && !field.IsRepeated) continue;
            if (field.RealContainingOneof is { } oneof && !chosen.Add(oneof))
                Fault(at, "It excludes another field of the same object.",
                    $"Send one of {string.Join(", ", oneof.Fields.Select(one => one.JsonName))}.");
            if (field.IsRepeated) ReadArray(ref reader, field, at);
            else ReadValue(ref reader, field, at);
        }
    }

    private void ReadArray(ref Utf8JsonReader reader, FieldDescriptor field, string path)
    {
        if (!Expect(ref reader, path, "an array", JsonTokenType.StartArray)) return;
        for (var index = 0; reader.Read() && reader.TokenType != JsonTokenType.EndArray; index++)
            ReadValue(ref reader, field, $"{path}[{index}]");
    }

    private void ReadValue(ref Utf8JsonReader reader, FieldDescriptor field, string path)
    {
        switch (field.FieldType)
        {
            case FieldType.Message when field.MessageType.FullName == Duration.Descriptor.FullName:
                if (Expect(ref reader, path, "a text such as \"1.5s\"", JsonTokenType.String) && !DurationText().IsMatch(Text(ref reader)))
                    Fault(path, "It is not a duration.", "Send seconds with at most 9 decimal places and an s, such as \"1.5s\".");
                break;
            case FieldType.Message when field.MessageType.FullName == Timestamp.Descriptor.FullName:
                Expect(ref reader, path, "a text such as \"2026-01-31T12:00:00Z\"", JsonTokenType.String);
                break;
            case FieldType.Message:
                if (Expect(ref reader, path, "an object", JsonTokenType.StartObject)) ReadObject(ref reader, field.MessageType, path);
                break;
            case FieldType.String:
                if (!Expect(ref reader, path, "a text", JsonTokenType.String)) break;
                _textBytes += Length(ref reader);
                if (_textBytes > MostTextBytes)
                    throw FlamingoException.Invalid(path, $"The texts of the request are longer than {MostTextBytes} bytes.",
                        "Send shorter texts.");
                Text(ref reader); // refuses what is not Unicode
                break;
            case FieldType.Bytes:
                if (Expect(ref reader, path, "base64 in quotation marks", JsonTokenType.String) && !IsBase64(ref reader))
                    Fault(path, "It is not base64.", "Send the bytes in standard base64 with padding, without line breaks.");
                break;
            case FieldType.Bool:
                Expect(ref reader, path, "true or false", JsonTokenType.True, JsonTokenType.False);
                break;
            case FieldType.Enum:
                var known = field.EnumType.Values;
                if (Expect(ref reader, path, "a name", JsonTokenType.String, JsonTokenType.Number) && !(reader.TokenType
                    == JsonTokenType.String ? Text(ref reader) is var name && known.Any(value => value.Name == name)
                        : reader.TryGetInt32(out _)))
                    Fault(path, "It is not a value of this field.", $"Send one of {string.Join(", ", known.Select(value => value.Name))}.");
                break;
            default:
                if (Expect(ref reader, path, "a number", JsonTokenType.Number, JsonTokenType.String)
                    && !IsNumber(ref reader, field.FieldType))
                    Fault(path, "It is not a number of this field's type.", $"Send a number of the type {field.FieldType}.");
                break;
        }
    }

    private bool Expect(ref Utf8JsonReader reader, string path, string expected, params ReadOnlySpan<JsonTokenType> types)
    {
        if (types.Contains(reader.TokenType)) return true;
        Fault(path, $"It is a JSON {Kind(reader.TokenType)}.", $"Send {expected}.");
        reader.Skip();
        return false;
    }

    private void Fault(string path, string problem, string remedy) => _faults.Add(new FieldFault(path, problem, remedy));

    private static bool IsNumber(ref Utf8JsonReader reader, FieldType type)
    {
        if (reader.TokenType == JsonTokenType.String)
        {
            var text = Text(ref reader);
            return type switch
            {
                FieldType.Double or FieldType.Float => text is "NaN" or "Infinity" or "-Infinity",
                // JavaScript has no numbers of 64 bits, so the JSON of protocol buffers sends them as texts.
                FieldType.Int64 or FieldType.SInt64 or FieldType.SFixed64 =>
                    long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out _),
                FieldType.UInt64 or FieldType.Fixed64 => ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out _),
                _ => false,
            };
        }

        return type switch
        {
            FieldType.Double => reader.TryGetDouble(out var number) && double.IsFinite(number),
            FieldType.Float => reader.TryGetSingle(out var number) && float.IsFinite(number),
            FieldType.Int64 or FieldType.SInt64 or FieldType.SFixed64 => reader.TryGetInt64(out _),
            FieldType.UInt64 or FieldType.Fixed64 => reader.TryGetUInt64(out _),
            FieldType.UInt32 or FieldType.Fixed32 => reader.TryGetUInt32(out _),
            _ => reader.TryGetInt32(out _),
        };
    }

    // The pieces of a large text are read where they are.
    private static bool IsBase64(ref Utf8JsonReader reader)
    {
        if (reader.ValueIsEscaped) return true; // for example \/, which the translation reads
        if (Length(ref reader) % 4 != 0) return false;
        if (!reader.HasValueSequence) return !reader.ValueSpan[..^Padding(reader.ValueSpan)].ContainsAnyExcept(Base64);
        var text = reader.ValueSequence;
        foreach (var part in text.Slice(0, text.Length - Padding(text.Slice(text.Length - 2).ToArray())))
            if (part.Span.ContainsAnyExcept(Base64)) return false;
        return true;

        static int Padding(ReadOnlySpan<byte> text) => text.EndsWith("=="u8) ? 2 : text.EndsWith("="u8) ? 1 : 0;
    }

    private static long Length(ref Utf8JsonReader reader) =>
        reader.HasValueSequence ? reader.ValueSequence.Length : reader.ValueSpan.Length;

    // A text of a caller may hold half of a surrogate pair, which no string can.
    private static string Text(ref Utf8JsonReader reader)
    {
        try
        {
            return reader.GetString() ?? "";
        }
        catch (InvalidOperationException)
        {
            throw new JsonException();
        }
    }

    private static string Kind(JsonTokenType token) => token switch
    {
        JsonTokenType.StartObject => "object",
        JsonTokenType.StartArray => "array",
        JsonTokenType.String => "text",
        JsonTokenType.Number => "number",
        JsonTokenType.Null => "null",
        _ => "truth value",
    };

    [GeneratedRegex(@"^-?[0-9]{1,10}(\.[0-9]{1,9})?s\z")]
    private static partial Regex DurationText();

    private static string Quote(string name) => name.Length > LongestQuote ? name[..LongestQuote] + "…" : name;
}
