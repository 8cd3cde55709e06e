using System.Text.Json;
using Flamingo.Cli.Reporting;

namespace Flamingo.Cli.Reading;

/// <summary>Reads a file with one JSON object per line. Empty lines are skipped, and all errors of a file are reported together.</summary>
public static class JsonLines
{
    /// <param name="path">Path of the file; <c>-</c> is standard input, whose paths are relative to the current directory.</param>
    /// <param name="read">
    /// Converts one line, or adds an error and returns null. Its arguments are the JSON object, the folder to which paths are relative, the
    /// place of the line for error messages, and the list of errors.
    /// </param>
    /// <exception cref="UsageException">The file is missing or empty, or a line has an error.</exception>
    public static IReadOnlyList<T> Read<T>(string path, Func<JsonElement, string, string, List<string>, T?> read)
        where T : class
    {
        var (folder, items, faults) = (InputFile.Folder(path), new List<T>(), new List<string>());
        if (InputFile.ReadText(path, "", "a file of one JSON object per line", faults) is not { } text) throw new UsageException(faults);
        foreach (var (index, line) in text.Split('\n').Index())
        {
            if (string.IsNullOrWhiteSpace(line)) continue;
            using var json = JsonText.Parse(line, InputFile.Name(path), index + 1, faults);
            if (json is null) continue;
            var at = $"{InputFile.Name(path)}, line {index + 1}";
            if (json.RootElement.ValueKind != JsonValueKind.Object) faults.Add($"{at}: must be an object.");
            else if (read(json.RootElement, folder, at, faults) is { } item) items.Add(item);
        }

        if (faults.Count == 0 && items.Count == 0) faults.Add($"{InputFile.Name(path)} is empty. Write one JSON object per line.");
        return faults.Count == 0 ? items : throw new UsageException(faults);
    }
}
