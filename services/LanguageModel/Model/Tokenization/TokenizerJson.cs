using System.Text.Json;
using Flamingo.Checkpoints;

namespace Flamingo.LanguageModel.Tokenization;

/// <summary>Reads members of a tokenizer.json by name, and refuses a member of the wrong type with a message that names it.</summary>
internal static class TokenizerJson
{
    private const int LongestQuote = 80;

    /// <exception cref="CheckpointException">The element is not an object, or it has a member that this build would have to
    /// ignore.</exception>
    public static void Expect(JsonElement element, string what, params ReadOnlySpan<string> known)
    {
        if (element.ValueKind != JsonValueKind.Object) throw new CheckpointException($"{what} is {Kind(element)} instead of an object.");
        foreach (var member in element.EnumerateObject())
            if (!known.Contains(member.Name))
                throw new CheckpointException($"{what} has a member '{Short(member.Name)}', which this build does not support.");
    }

    public static string TypeOf(JsonElement element) => Present(element, "type") is { } type ? Text(type, "type") : "(without a type)";

    /// <summary>The member, or null if it is missing or null.</summary>
    public static JsonElement? Present(JsonElement element, string name)
    {
        if (element.ValueKind != JsonValueKind.Object)
            throw new CheckpointException($"'{name}' cannot be read from {Kind(element)}; an object is needed.");
        return element.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;
    }

    public static JsonElement Required(JsonElement element, string name) =>
        Present(element, name) ?? throw new CheckpointException($"'{name}' is missing or null.");

    public static bool Flag(JsonElement element, string name, bool otherwise) => Present(element, name) switch
    {
        null => otherwise,
        { ValueKind: JsonValueKind.True } => true,
        { ValueKind: JsonValueKind.False } => false,
        { } other => throw new CheckpointException($"'{name}' is {Kind(other)} instead of true or false."),
    };

    public static string Text(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.String
            ? element.GetString()!
            : throw new CheckpointException($"'{name}' is {Kind(element)} instead of a string.");

    /// <summary>Returns the text of a token, after checking its length.</summary>
    public static string Token(string text, string what) => text.Length <= TokenizerLimits.LongestToken
        ? text
        : throw new CheckpointException(
            $"{what}, '{Short(text)}', has {text.Length} characters; tokens have at most {TokenizerLimits.LongestToken}.");

    /// <summary>Returns the id of a token, after checking its range.</summary>
    public static int Id(JsonElement element, string what) =>
        element.ValueKind == JsonValueKind.Number && element.TryGetInt32(out var id) && id is >= 0 and < TokenizerLimits.MostTokens
        ? id
        : throw new CheckpointException($"the id of {what} is "
            + $"{(element.ValueKind == JsonValueKind.Number ? Short(element.GetRawText()) : Kind(element))}; ids range from 0 to "
                + $"{TokenizerLimits.MostTokens - 1}.");

    public static List<JsonElement> Items(JsonElement element, string name) =>
        Required(element, name) is { ValueKind: JsonValueKind.Array } array
            ? [.. array.EnumerateArray()]
            : throw new CheckpointException($"'{name}' is {Kind(Required(element, name))} instead of a list.");

    public static string Short(string text) => text.Length <= LongestQuote ? text : $"{text[..LongestQuote]}…";

    private static string Kind(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "a list",
        JsonValueKind.String => $"'{Short(element.GetString()!)}'",
        JsonValueKind.Number => Short(element.GetRawText()),
        JsonValueKind.Null => "null",
        _ => element.ValueKind == JsonValueKind.True ? "true" : "false",
    };
}
