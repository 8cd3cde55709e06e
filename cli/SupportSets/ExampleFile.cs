using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Cli.Reading;
using Flamingo.Cli.Reporting;

namespace Flamingo.Cli.SupportSets;

/// <summary>
/// Reads examples of a support set, one per line: <c>{"picture": "path relative to the file", "text": "Output:A dog."}</c>.
/// <see cref="VisualJson"/> describes clips. Unknown members are errors, and all errors of a file are reported together.
/// </summary>
public static class ExampleFile
{
    /// <param name="names">Receives the names under which errors report the examples.</param>
    /// <exception cref="UsageException">The file is missing, empty or malformed, or one of its pictures is missing.</exception>
    public static IReadOnlyList<SupportExample> Read(string path, FieldNames names)
    {
        var count = 0;
        names.Add("examples", InputFile.Name(path));
        return JsonLines.Read(path, (line, folder, at, faults) =>
        {
            if (Example(line, folder, at, faults) is not { } example) return null;
            var file = line.EnumerateObject().FirstOrDefault(member => member.Name is "picture" or "video").Value;
            names.Add($"examples[{count}]", file.ValueKind == JsonValueKind.String ? $"{at} ({file.GetString()})" : at);
            names.Add($"examples[{count++}].text", $"{at}: text");
            return example;
        });
    }

    private static SupportExample? Example(JsonElement line, string folder, string at, List<string> faults)
    {
        var kinds = VisualJson.Kinds.Where(kind => line.TryGetProperty(kind, out _)).ToList();
        var unknown = line.EnumerateObject().Where(member =>
            member.Name is not ("text" or VisualJson.MaxFrames) && !VisualJson.Kinds.Contains(member.Name));
        foreach (var member in unknown)
            faults.Add(
                $"{at}: unknown member '{member.Name}'. Known are 'picture', 'video', 'frames', '{VisualJson.MaxFrames}' and 'text'.");
        var text = line.TryGetProperty("text", out var given) && given.ValueKind == JsonValueKind.String ? given.GetString() : null;
        if (text is null) faults.Add($"{at}: the member 'text', a string with the text for the picture, is missing.");
        if (kinds.Count != 1) faults.Add($"{at}: must have exactly one of 'picture', 'video' and 'frames', not {kinds.Count}.");
        return kinds.Count == 1 && VisualJson.Read(line, kinds[0], folder, at, faults) is { } visual && text is not null
            ? new SupportExample(visual, text)
            : null;
    }
}
