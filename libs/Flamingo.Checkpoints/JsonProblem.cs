using System.Text.Json;

namespace Flamingo.Checkpoints;

/// <summary>
/// Describes an error in a JSON file to the person who wrote the file: the position and what is expected there. Names of .NET types and
/// advice for programmers are removed from .NET's messages.
/// </summary>
public static class JsonProblem
{
    private const string Escapes = "Write a backslash as \\\\, a quotation mark as \\\" and a line break as \\n.";

    /// <param name="exception">The error that the parser reported.</param>
    /// <param name="firstLine">Line of the file, counted from 1, where the parsed text begins.</param>
    /// <returns>
    /// A sentence such as <c>line 3, column 14: '"' is invalid after a value. Expected either ',', '}', or ']'.</c> A column is a number
    /// of UTF-8 bytes, counted from 1.
    /// </returns>
    public static string Describe(JsonException exception, long firstLine = 1) => exception.LineNumber is { } line
        ? $"line {firstLine + line}, column {exception.BytePositionInLine + 1}: {Words(exception)}"
        : Words(exception);

    private static string Words(JsonException exception)
    {
        var message = exception.Message;
        foreach (var position in new[] { " Path: ", " LineNumber: ", " of type '", " encountered during" })
            if (message.IndexOf(position, StringComparison.Ordinal) is >= 0 and var end) message = message[..end];
        var member = exception.Path is { Length: > 2 } path ? path[2..] : "the object";
        bool Says(string part) => message.Contains(part, StringComparison.Ordinal);
        return Says("any JSON tokens") ? "the text is empty."
            : Says("trailing comma") ? "a comma stands before the closing bracket. Leave it out."
            : Says("Expected depth") ? "the text ends before every bracket is closed."
            : Says("correctly escaped") ? message.Replace("The string should be correctly escaped.", Escapes, StringComparison.Ordinal)
            : Says("could not be converted") ? $"{member} has a value of the wrong kind."
            : Says("missing required") ? $"{member} lacks {message.Split("including: ")[^1]}"
            : Says("could not be mapped") ? $"'{message.Split('\'')[1]}' is not a known member here."
            : Says("setting null") ? $"{member} must not be null."
            : message.EndsWith('.') ? message : $"{message}.";
    }
}
