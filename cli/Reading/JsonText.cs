using System.Text.Json;
using Flamingo.Checkpoints;

namespace Flamingo.Cli.Reading;

/// <summary>Parses JSON that a user wrote. A duplicate member name in an object is an error too.</summary>
internal static class JsonText
{
    /// <param name="file">The name of the file in error messages.</param>
    /// <param name="line">The line number if the text is one line of a file, counted from 1; null if it is the whole file.</param>
    /// <returns>Null if an error was added to <paramref name="faults"/>.</returns>
    public static JsonDocument? Parse(string text, string file, long? line, List<string> faults)
    {
        try
        {
            return JsonDocument.Parse(text, new JsonDocumentOptions { AllowDuplicateProperties = false });
        }
        catch (JsonException exception)
        {
            // The parser reports no position for a duplicate name.
            var place = exception.LineNumber is null && line is { } only ? $"line {only}: " : "";
            faults.Add($"{file} is not valid JSON: {place}{JsonProblem.Describe(exception, line ?? 1)}");
            return null;
        }
        catch (InvalidOperationException)
        {
            // The parser compares names, and throws this where an escape in a name stands for half of a character.
            var place = line is { } only ? $"line {only}: " : "";
            faults.Add($"{file} is not valid JSON: {place}a name has half of a surrogate pair, such as \\ud83d without its second half. "
                + "Write the whole character.");
            return null;
        }
    }
}
