using System.Text.Json;

namespace Flamingo.Gateway.Doors.OpenAI;

/// <summary>
/// The members of one JSON object of a request. A null equals an absent member. Every member must be taken by somebody: those that are
/// left over are refused by <see cref="RefuseOthers"/>.
/// </summary>
internal sealed class Fields
{
    private readonly Dictionary<string, JsonElement> _members = new(StringComparer.Ordinal);
    private readonly string _path;

    /// <param name="path">Path of the object in the request; empty for the request itself.</param>
    /// <exception cref="OpenAiFault">This is not an object, or it names a member twice.</exception>
    public Fields(JsonElement element, string path)
    {
        _path = path;
        if (element.ValueKind != JsonValueKind.Object) throw WrongType(path, element, "an object");
        foreach (var member in element.EnumerateObject())
        {
            var name = Read(path, () => member.Name);
            if (!_members.TryAdd(name, member.Value))
                throw OpenAiFault.Invalid(Path(OpenAiFault.Quote(name)), "The field is named twice.", "Send it once.", "duplicate_field");
        }
    }

    public string Path(string name) => _path.Length == 0 ? name : $"{_path}.{name}";

    public bool Has(string name) => _members.TryGetValue(name, out var value) && value.ValueKind != JsonValueKind.Null;

    public JsonElement? Take(string name) =>
        _members.Remove(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    public string? Text(string name) => Take(name) is { } value ? Text(value, Path(name)) : null;

    public bool? Flag(string name) => Take(name) switch
    {
        null => null,
        { ValueKind: JsonValueKind.True } => true,
        { ValueKind: JsonValueKind.False } => false,
        { } other => throw WrongType(Path(name), other, "true or false"),
    };

    public int? Whole(string name) => Take(name) is { } value ? Whole(value, Path(name)) : null;

    public float? Number(string name) => Take(name) is { } value ? Number(value, Path(name)) : null;

    /// <summary>A whole number of 64 bits, of which negative ones are taken by their two's complement.</summary>
    public ulong? Seed(string name)
    {
        if (Take(name) is not { } value) return null;
        if (value.ValueKind != JsonValueKind.Number) throw WrongType(Path(name), value, "a whole number");
        if (value.TryGetUInt64(out var seed)) return seed;
        return value.TryGetInt64(out var signed) ? unchecked((ulong)signed)
            : throw WrongType(Path(name), value, "a whole number of 64 bits");
    }

    /// <summary>The elements of a list with their paths; empty if it is absent.</summary>
    public IReadOnlyList<(JsonElement Value, string Path)> List(string name)
    {
        if (Take(name) is not { } list) return [];
        return list.ValueKind == JsonValueKind.Array ? Items(list, Path(name)) : throw WrongType(Path(name), list, "a list");
    }

    public IReadOnlyList<int> Integers(string name) => [.. List(name).Select(item => Whole(item.Value, item.Path))];

    public Fields? Object(string name) => Take(name) is { } value ? new Fields(value, Path(name)) : null;

    /// <summary>Takes members that have no effect here.</summary>
    public void Ignore(params ReadOnlySpan<string> names)
    {
        foreach (var name in names) _members.Remove(name);
    }

    /// <exception cref="OpenAiFault">unsupported_parameter: a member that nobody took.</exception>
    public void RefuseOthers()
    {
        foreach (var (name, value) in _members)
            if (value.ValueKind != JsonValueKind.Null) throw OpenAiFault.Unsupported(Path(OpenAiFault.Quote(name)));
    }

    public static IReadOnlyList<(JsonElement Value, string Path)> Items(JsonElement list, string path) =>
        [.. list.EnumerateArray().Select((item, index) => (item, $"{path}[{index}]"))];

    public static string Text(JsonElement value, string path)
    {
        if (value.ValueKind != JsonValueKind.String) throw WrongType(path, value, "a text");
        return RequestBody.IsSetAside(value)
            ? throw OpenAiFault.Invalid(path, "This is a data URL.", "Send a text here, and a picture as a part of type image_url.")
            : Read(path, () => value.GetString()!);
    }

    public static int Whole(JsonElement value, string path) => value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var number)
        ? number
        : throw WrongType(path, value, "a whole number of 32 bits");

    public static float Number(JsonElement value, string path) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetSingle(out var number) && float.IsFinite(number)
            ? number
            : throw WrongType(path, value, "a number");

    public static OpenAiFault WrongType(string path, JsonElement value, string expected) => OpenAiFault.Invalid(
        path,
        value.ValueKind switch
        {
            JsonValueKind.Object => "This is an object.",
            JsonValueKind.Array => "This is a list.",
            JsonValueKind.String => "This is a text.",
            JsonValueKind.Number => "This is a number.",
            JsonValueKind.Null => "This is null.",
            _ => "This is true or false.",
        },
        $"Send {expected}.", "invalid_type");

    // Bytes that are not UTF-8, and escapes of half a surrogate pair, are found only when a text is read.
    private static string Read(string path, Func<string> read)
    {
        try
        {
            return read();
        }
        catch (InvalidOperationException)
        {
            throw OpenAiFault.Invalid(path, "A text is not valid Unicode.", "Send UTF-8.", "invalid_json");
        }
    }
}
