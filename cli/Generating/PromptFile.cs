using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Cli.Reading;
using Flamingo.Cli.Reporting;

namespace Flamingo.Cli.Generating;

/// <summary>
/// Reads a prompt from JSON: <c>{"segments": [{"picture": "path relative to the file"} | {"picture_id": "…"} | {"text": "…"}, …],
/// "sampling": {…}}</c>. <see cref="VisualJson"/> describes clips.
/// Unknown members are errors, and all errors of a file are reported together.
/// </summary>
public static class PromptFile
{
    private const string Known = "'picture', 'picture_id', 'text', 'video' and 'frames'";

    private static readonly string[] Kinds = ["text", "picture_id", .. VisualJson.Kinds];

    /// <param name="path">Path of the file; <c>-</c> is standard input.</param>
    /// <param name="names">Receives the names under which errors report the fields of the request.</param>
    /// <exception cref="UsageException">The file is missing or malformed, or one of its pictures is missing.</exception>
    public static FlamingoRequest Read(string path, FieldNames names)
    {
        var (name, faults) = (InputFile.Name(path), new List<string>());
        const string Expected = "a prompt file, for example models/shapes/examples/new-word.json";
        using var json = InputFile.ReadText(path, "", Expected, faults) is { } text ? JsonText.Parse(text, name, line: null, faults) : null;
        if (json is null) throw new UsageException(faults);
        var request = Read(json.RootElement, InputFile.Folder(path), faults);
        if (faults.Count > 0) throw new UsageException([.. faults.Select(fault => $"{name}: {fault}")]);
        AddNames(json.RootElement, name, names);
        return request;
    }

    // An error names a field by its place in the file, and a picture also by its path.
    private static void AddNames(JsonElement root, string file, FieldNames names)
    {
        names.Add("segments", $"{file}: segments");
        foreach (var (index, item) in root.GetProperty("segments").EnumerateArray().Index())
        {
            var at = $"segments[{index}]";
            var member = item.EnumerateObject().First(member => Kinds.Contains(member.Name));
            names.Add(at, $"{file}: {at}.{member.Name}{(member.Name is "picture" or "video" ? $" ({member.Value.GetString()})" : "")}");
            names.Add($"{at}.video.max_frames", $"{file}: {at}.{VisualJson.MaxFrames}");
            if (member.Name != "frames") continue;
            foreach (var (frame, path) in member.Value.EnumerateArray().Index())
                names.Add($"{at}.video.files[{frame}]", $"{file}: {at}.frames[{frame}] ({path.GetString()})");
        }

        if (!root.TryGetProperty("sampling", out var sampling)) return;
        foreach (var member in sampling.EnumerateObject()) names.Add($"sampling.{member.Name}", $"{file}: sampling.{member.Name}");
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

        if (!root.TryGetProperty("segments", out _))
            faults.Add("'segments' is missing. Add a list of {\"picture\": …} and {\"text\": …}.");
        return new FlamingoRequest(segments, sampling);
    }

    /// <summary>Reads the list of segments.</summary>
    /// <param name="folder">The folder to which paths are relative.</param>
    internal static void ReadSegments(JsonElement list, string folder, List<FlamingoSegment> segments, List<string> faults)
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
            foreach (var member in members.Where(member => !Kinds.Contains(member.Name) && member.Name != VisualJson.MaxFrames))
                faults.Add($"{at}: unknown member '{member.Name}'. Known are {Known} and '{VisualJson.MaxFrames}'.");
            var known = members.Where(member => Kinds.Contains(member.Name)).ToArray();
            if (known.Length != 1) faults.Add($"{at}: must have exactly one of {Known}, not {known.Length}.");
            else if (Segment(item, known[0], folder, at, faults) is { } segment) segments.Add(segment);
        }
    }

    private static FlamingoSegment? Segment(JsonElement item, JsonProperty member, string folder, string at, List<string> faults)
    {
        if (VisualJson.Kinds.Contains(member.Name)) return VisualJson.Read(item, member.Name, folder, at, faults);
        if (item.TryGetProperty(VisualJson.MaxFrames, out _))
            faults.Add($"{at}.{VisualJson.MaxFrames}: belongs to 'video' and 'frames'. Leave it out.");
        if (member.Value.ValueKind != JsonValueKind.String)
        {
            faults.Add($"{at}.{member.Name}: must be a string.");
            return null;
        }

        return member.Name == "text" ? new FlamingoText(member.Value.GetString()!) : new FlamingoPictureId(member.Value.GetString()!);
    }
}
