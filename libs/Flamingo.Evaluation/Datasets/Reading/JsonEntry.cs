using System.Globalization;
using System.Text.Json;

namespace Flamingo.Evaluation.Datasets.Reading;

/// <summary>
/// A JSON value of a benchmark's file and its place. What is missing or has another type is reported, and the caller gets null, so that
/// one reading finds the faults of many entries.
/// </summary>
internal readonly record struct JsonEntry(JsonElement Value, FilePlace Place, FaultReport Faults)
{
    private const string NotUnicode = "A text is not valid Unicode.";
    private const string Unicode = "Save the file as UTF-8, without halves of surrogate pairs.";
    private const string Publisher = "Take the file as its publisher wrote it, or correct the entry.";

    public void Fault(string fault, string remedy) => Faults.Add(Place, fault, remedy);

    /// <summary>Whether there is a member of this name with another value than null.</summary>
    public bool Has(string name) => Value.ValueKind == JsonValueKind.Object && Find(name, out _) is { ValueKind: not JsonValueKind.Null };

    /// <summary>A member that is a text.</summary>
    public string? Text(string name)
    {
        if (Member(name) is not { } member) return null;
        if (member.Value.ValueKind == JsonValueKind.String) return member.AsText();
        Fault($"{name} is {Kind(member.Value)} and not a text.", Publisher);
        return null;
    }

    /// <summary>A member that is a text with other characters than spaces.</summary>
    public string? Words(string name)
    {
        var text = Text(name);
        if (text is null || !string.IsNullOrWhiteSpace(text)) return text;
        Fault($"{name} is empty.", "Write a text there, or take the entry out.");
        return null;
    }

    /// <summary>A member that is a text or a number, as text.</summary>
    public string? TextOrNumber(string name) => Member(name)?.AsTextOrNumber(name);

    /// <summary>
    /// A member that identifies something, which publishers write as a number in one file and as a text in the next: digits lose the zeros
    /// before them, so that <c>"0042"</c> and <c>42</c> are the same.
    /// </summary>
    public string? Id(string name)
    {
        var id = TextOrNumber(name);
        if (id is "")
        {
            Fault($"{name} is empty.", "Give the entry an id.");
            return null;
        }

        return id is null ? null : AsId(id);
    }

    /// <summary>A text as <see cref="Id"/> has it.</summary>
    public static string AsId(string text) => long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
        ? number.ToString(CultureInfo.InvariantCulture) : text;

    /// <summary>A member that is a whole number.</summary>
    public long? Integer(string name)
    {
        if (Member(name) is not { } member) return null;
        if (member.Value.ValueKind == JsonValueKind.Number && member.Value.TryGetInt64(out var number)) return number;
        Fault($"{name} is {Kind(member.Value)} and not a whole number.", Publisher);
        return null;
    }

    /// <summary>A member that is a list, and the places of its elements.</summary>
    public IReadOnlyList<JsonEntry>? List(string name)
    {
        if (Member(name) is not { } member) return null;
        if (member.Value.ValueKind == JsonValueKind.Array) return member.Elements();
        Fault($"{name} is {Kind(member.Value)} and not a list.", Publisher);
        return null;
    }

    public IReadOnlyList<JsonEntry> Elements()
    {
        var whole = this;
        return [.. Value.EnumerateArray().Select((element, index) => whole with { Value = element, Place = whole.Within($"[{index}]") })];
    }

    /// <summary>A member of any type.</summary>
    public JsonEntry? Member(string name)
    {
        if (Value.ValueKind != JsonValueKind.Object)
            Fault($"This is {Kind(Value)} and not an object.", Publisher);
        else if (Find(name, out var isUnicode) is { ValueKind: not JsonValueKind.Null } member)
            return Of(name, member);
        else if (isUnicode)
            Fault($"{name} is missing.", Publisher);
        else
            Fault(NotUnicode, Unicode);
        return null;
    }

    /// <summary>The members of this object, in their order; null after a fault.</summary>
    public IReadOnlyList<(string Name, JsonEntry Entry)>? Members()
    {
        try
        {
            var whole = this;
            return [.. Value.EnumerateObject().Select(member => (member.Name, whole.Of(member.Name, member.Value)))];
        }
        catch (InvalidOperationException)
        {
            Fault(NotUnicode, Unicode);
            return null;
        }
    }

    /// <summary>The text of this value, which may also be a number.</summary>
    public string? AsTextOrNumber(string name)
    {
        if (Value.ValueKind == JsonValueKind.String) return AsText();
        if (Value.ValueKind == JsonValueKind.Number) return Value.GetRawText();
        Fault($"{name} is {Kind(Value)} and neither a text nor a number.", Publisher);
        return null;
    }

    private string? AsText()
    {
        try
        {
            return Value.GetString();
        }
        catch (InvalidOperationException)
        {
            Fault(NotUnicode, Unicode);
            return null;
        }
    }

    // a name among the members that is not valid Unicode stops the search
    private JsonElement? Find(string name, out bool isUnicode)
    {
        isUnicode = true;
        try
        {
            return Value.TryGetProperty(name, out var member) ? member : null;
        }
        catch (InvalidOperationException)
        {
            isUnicode = false;
            return null;
        }
    }

    private JsonEntry Of(string name, JsonElement member) =>
        this with { Value = member, Place = Within(Place.Path.Length > 0 ? $".{name}" : name) };

    private FilePlace Within(string path) => Place with { Path = Place.Path + path };

    private static string Kind(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "a list",
        JsonValueKind.String => "a text",
        JsonValueKind.Number => $"the number {value.GetRawText()}",
        JsonValueKind.Null => "null",
        _ => value.GetRawText(),
    };
}
