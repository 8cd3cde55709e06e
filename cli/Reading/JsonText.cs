using System.Text.Json;
using Flamingo.Checkpoints;

namespace Flamingo.Cli.Reading;

/// <summary>JSON that a user wrote; a name that stands twice in an object is a fault too.</summary>
internal static class JsonText
{
    /// <param name="file">How faults call the file.</param>
    /// <param name="line">Where the text is one line of the file: which.</param>
    /// <returns>Null after a fault was added.</returns>
    public static JsonDocument? Parse(string text, string file, long? line, List<string> faults)
    {
        try
        {
            return JsonDocument.Parse(text, new JsonDocumentOptions { AllowDuplicateProperties = false });
        }
        catch (JsonException exception)
        {
            // of a name that stands twice, the parser tells no place
            var place = exception.LineNumber is null && line is { } only ? $"line {only}: " : "";
            faults.Add($"{file} is not valid JSON: {place}{JsonProblem.Describe(exception, line ?? 1)}");
            return null;
        }
    }
}
