using System.Text.Json;
using Flamingo.Cli.Reporting;
using Flamingo.Stages;

namespace Flamingo.Cli.Generating;

/// <summary>
/// A prompt as JSON: <c>{"segments": [{"picture": "path beside the file"} | {"picture_id": "…"} | {"text": "…"}, …], "sampling": {…}}</c>.
/// Strict: everything that is not understood is a fault, and all faults are reported at once.
/// </summary>
public static class PromptFile
{
    /// <exception cref="UsageException">Missing or malformed, or a picture it names is missing.</exception>
    public static FlamingoRequest Read(string path)
    {
        if (!File.Exists(path)) throw new UsageException($"{path} does not exist. Name a prompt file, for example models/shapes/examples/new-word.json.");
        var folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        try
        {
            using var json = JsonDocument.Parse(File.ReadAllBytes(path), new JsonDocumentOptions { AllowDuplicateProperties = false });
            var faults = new List<string>();
            var request = Read(json.RootElement, folder, faults);
            if (faults.Count > 0) throw new UsageException([.. faults.Select(fault => $"{path}: {fault}")]);
            return request;
        }
        catch (JsonException exception)
        {
            throw new UsageException($"{path} is not valid JSON: {exception.Message}");
        }
    }

    private static FlamingoRequest Read(JsonElement root, string folder, List<string> faults)
    {
        var segments = new List<FlamingoSegment>();
        var sampling = new SamplingParameters();
        if (root.ValueKind != JsonValueKind.Object)
        {
            faults.Add("the file must hold an object with 'segments'.");
            return new FlamingoRequest(segments, sampling);
        }

        foreach (var member in root.EnumerateObject())
        {
            if (member.Name == "segments") ReadSegments(member.Value, folder, segments, faults);
            else if (member.Name == "sampling") sampling = SamplingJson.Read(member.Value, faults);
            else faults.Add($"unknown member '{member.Name}'. Known are 'segments' and 'sampling'.");
        }

        if (!root.TryGetProperty("segments", out _)) faults.Add("'segments' is missing. Add a list of {\"picture\": …} and {\"text\": …}.");
        return new FlamingoRequest(segments, sampling);
    }

    private static void ReadSegments(JsonElement list, string folder, List<FlamingoSegment> segments, List<string> faults)
    {
        if (list.ValueKind != JsonValueKind.Array || list.GetArrayLength() == 0)
        {
            faults.Add("segments: must be a list with at least one text or picture.");
            return;
        }

        foreach (var (index, item) in list.EnumerateArray().Index())
        {
            var at = $"segments[{index}]";
            if (item.ValueKind != JsonValueKind.Object)
            {
                faults.Add($"{at}: must be an object with one of 'picture', 'picture_id' and 'text'.");
                continue;
            }

            var members = item.EnumerateObject().ToArray();
            foreach (var member in members.Where(member => member.Name is not ("picture" or "picture_id" or "text")))
                faults.Add($"{at}: unknown member '{member.Name}'. Known are 'picture', 'picture_id' and 'text'.");
            var known = members.Where(member => member.Name is "picture" or "picture_id" or "text").ToArray();
            if (known.Length != 1) faults.Add($"{at}: must have exactly one of 'picture', 'picture_id' and 'text', not {known.Length}.");
            else if (known[0].Value.ValueKind != JsonValueKind.String) faults.Add($"{at}.{known[0].Name}: must be a string.");
            else if (Segment(known[0].Name, known[0].Value.GetString()!, folder, at, faults) is { } segment) segments.Add(segment);
        }
    }

    private static FlamingoSegment? Segment(string kind, string value, string folder, string at, List<string> faults)
    {
        if (kind == "text") return new FlamingoText(value);
        if (kind == "picture_id") return new FlamingoPictureId(value);
        var file = Path.Combine(folder, value);
        if (File.Exists(file)) return new FlamingoPicture(File.ReadAllBytes(file));
        faults.Add($"{at}.picture: {file} does not exist. Paths are relative to the prompt file.");
        return null;
    }
}
