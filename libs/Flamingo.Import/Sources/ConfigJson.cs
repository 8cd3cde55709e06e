using System.Text.Json;
using Flamingo.Checkpoints;

namespace Flamingo.Import.Sources;

/// <summary>Reads the JSON configurations of a publication.</summary>
internal static class ConfigJson
{
    /// <exception cref="CheckpointException">The file is missing or damaged.</exception>
    public static JsonDocument Open(string file)
    {
        if (!File.Exists(file)) throw new CheckpointException($"{file} is missing; download it beside the weights.");
        try
        {
            return JsonDocument.Parse(TextFile.ReadJson(file), new JsonDocumentOptions { AllowDuplicateProperties = false });
        }
        catch (JsonException exception)
        {
            throw new CheckpointException($"{file} is damaged: {JsonProblem.Describe(exception)}", exception);
        }
    }

    /// <summary>Runs code that reads values of a JSON file, and adds the file's name to errors about missing or wrong values.</summary>
    /// <exception cref="CheckpointException">
    /// A value is missing or of the wrong kind, or <paramref name="read"/> threw this exception itself.
    /// </exception>
    public static T Within<T>(string file, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (Exception exception) when (exception is JsonException or KeyNotFoundException or InvalidOperationException or FormatException
            or ArithmeticException or ArgumentException)
        {
            throw new CheckpointException($"{file} lacks a value or has a value of the wrong kind: {exception.Message}", exception);
        }
    }

    /// <summary>Reads a number of layers or heads, 1 to 10,000. The limit keeps loops over it short, whatever the file says.</summary>
    /// <exception cref="FormatException">The number is out of range.</exception>
    public static int Count(this JsonElement element, string name) =>
        element.GetProperty(name).GetInt32() is >= 1 and <= 10_000 and var count ? count
            : throw new FormatException($"{name} is {element.GetProperty(name)}.");

    /// <summary>Returns the member, or null if it is missing or null.</summary>
    public static JsonElement? Member(this JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null
            ? value : null;

    public static int Integer(this JsonElement element, string name, int otherwise) => element.Member(name)?.GetInt32() ?? otherwise;

    public static double Number(this JsonElement element, string name, double otherwise) => element.Member(name)?.GetDouble() ?? otherwise;

    public static bool Flag(this JsonElement element, string name, bool otherwise) => element.Member(name)?.GetBoolean() ?? otherwise;
}
