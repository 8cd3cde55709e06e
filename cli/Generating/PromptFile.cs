using System.Text.Json;
using Flamingo.Cli.Reading;
using Flamingo.Cli.Reporting;
using Flamingo.Stages;

namespace Flamingo.Cli.Generating;

/// <summary>
/// A prompt as JSON: <c>{"segments": [{"picture": "path beside the file"} | {"picture_id": "…"} | {"text": "…"}, …], "sampling": {…}}</c>;
/// clips as in <see cref="VisualJson"/>.
/// Strict: everything that is not understood is a fault, and all faults are reported at once.
/// </summary>
public static class PromptFile
{
    private const string Known = "'picture', 'picture_id', 'text', 'video' and 'frames'";

    private static readonly string[] Kinds = ["text", "picture_id", .. VisualJson.Kinds];

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
                faults.Add($"{at}: must be an object with one of {Known}.");
                continue;
            }

            var members = item.EnumerateObject().ToArray();
            foreach (var member in members.Where(member => !Kinds.Contains(member.Name) && member.Name != VisualJson.MaxFrames)) faults.Add($"{at}: unknown member '{member.Name}'. Known are {Known} and '{VisualJson.MaxFrames}'.");
            var known = members.Where(member => Kinds.Contains(member.Name)).ToArray();
            if (known.Length != 1) faults.Add($"{at}: must have exactly one of {Known}, not {known.Length}.");
            else if (Segment(item, known[0], folder, at, faults) is { } segment) segments.Add(segment);
        }
    }

    private static FlamingoSegment? Segment(JsonElement item, JsonProperty member, string folder, string at, List<string> faults)
    {
        if (VisualJson.Kinds.Contains(member.Name)) return VisualJson.Read(item, member.Name, folder, at, faults);
        if (item.TryGetProperty(VisualJson.MaxFrames, out _)) faults.Add($"{at}.{VisualJson.MaxFrames}: belongs to 'video' and 'frames'. Leave it out.");
        if (member.Value.ValueKind != JsonValueKind.String)
        {
            faults.Add($"{at}.{member.Name}: must be a string.");
            return null;
        }

        return member.Name == "text" ? new FlamingoText(member.Value.GetString()!) : new FlamingoPictureId(member.Value.GetString()!);
    }
}
