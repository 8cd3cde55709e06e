using System.Text.Json;
using Flamingo.Cli.Reporting;

namespace Flamingo.Cli.Reading;

/// <summary>A file of one JSON object per line; empty lines are skipped, and all faults are reported at once.</summary>
public static class JsonLines
{
    /// <param name="read">From one line; null after it has added a fault. Told where the line stands, for faults, and the file's folder, which paths are relative to.</param>
    /// <exception cref="UsageException">The file is missing or empty, or a line is at fault.</exception>
    public static IReadOnlyList<T> Read<T>(string path, Func<JsonElement, string, string, List<string>, T?> read)
        where T : class
    {
        if (!File.Exists(path)) throw new UsageException($"{path} does not exist. Name a file of one JSON object per line.");
        var (folder, items, faults) = (Path.GetDirectoryName(Path.GetFullPath(path))!, new List<T>(), new List<string>());
        foreach (var (index, line) in File.ReadLines(path).Index())
        {
            if (string.IsNullOrWhiteSpace(line)) continue;
            var at = $"{path}, line {index + 1}";
            try
            {
                using var json = JsonDocument.Parse(line, new JsonDocumentOptions { AllowDuplicateProperties = false });
                if (json.RootElement.ValueKind != JsonValueKind.Object) faults.Add($"{at}: must be an object.");
                else if (read(json.RootElement, folder, at, faults) is { } item) items.Add(item);
            }
            catch (JsonException exception)
            {
                faults.Add($"{at} is not valid JSON: {exception.Message}");
            }
        }

        if (faults.Count == 0 && items.Count == 0) faults.Add($"{path} is empty. Write one JSON object per line.");
        return faults.Count == 0 ? items : throw new UsageException(faults);
    }
}
