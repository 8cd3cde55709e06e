using System.Text.Json;
using Flamingo.Abstractions;

namespace Flamingo.Cli.Reading;

/// <summary>
/// Reads pictures and clips from JSON: <c>{"picture": path}</c>, <c>{"video": path}</c> or <c>{"frames": [path, …]}</c>. The last two
/// may also have <c>"max_frames"</c>.
/// </summary>
public static class VisualJson
{
    public const string MaxFrames = "max_frames";

    /// <summary>The member names of which an object must have exactly one.</summary>
    public static IReadOnlyList<string> Kinds { get; } = ["picture", "video", "frames"];

    /// <param name="folder">The folder to which paths are relative.</param>
    /// <param name="at">The place of the object, for error messages.</param>
    /// <param name="kind">The member of <see cref="Kinds"/> that the object has.</param>
    /// <returns>Null if an error was added to <paramref name="faults"/>.</returns>
    public static FlamingoVisual? Read(JsonElement item, string kind, string folder, string at, List<string> faults)
    {
        var before = faults.Count;
        var most = 0;
        if (item.TryGetProperty(MaxFrames, out var given))
        {
            if (kind == "picture") faults.Add($"{Member(at, MaxFrames)}: a picture has one frame. Leave it out.");
            else if (given.ValueKind != JsonValueKind.Number || !given.TryGetInt32(out most) || most < 0)
                faults.Add($"{Member(at, MaxFrames)}: must be a whole number, 0 or more.");
        }

        var value = item.GetProperty(kind);
        if (kind != "frames")
            return ReadFile(value, folder, Member(at, kind), faults) is { } file && faults.Count == before
                ? kind == "picture" ? new FlamingoPicture(file) : new FlamingoVideo(new VisualInput([file], most))
                : null;
        if (value.ValueKind != JsonValueKind.Array || value.GetArrayLength() == 0)
        {
            faults.Add($"{Member(at, kind)}: must be a list of paths, one per frame.");
            return null;
        }

        var frames = value.EnumerateArray().Index()
            .Select(frame => ReadFile(frame.Item, folder, $"{Member(at, kind)}[{frame.Index}]", faults)).ToList();
        return faults.Count == before
            ? new FlamingoVideo(new VisualInput([.. frames.Select(frame => (ReadOnlyMemory<byte>)frame)], most))
            : null;
    }

    // Returns "segments[2].picture" in a JSON file and "line 2: picture" in a file of JSON lines.
    private static string Member(string at, string name) => at.Length == 0 ? name : at.EndsWith(']') ? $"{at}.{name}" : $"{at}: {name}";

    private static byte[]? ReadFile(JsonElement value, string folder, string at, List<string> faults)
    {
        if (value.ValueKind != JsonValueKind.String)
        {
            faults.Add($"{at}: must be a string.");
            return null;
        }

        var path = value.GetString()!;
        const string Expected = "a file by its path relative to this file";
        if (path is not ("" or InputFile.StandardInput)) return InputFile.Read(Path.Combine(folder, path), $"{at}: ", Expected, faults);
        faults.Add($"{at}: '{path}' is not a path. Name {Expected}.");
        return null;
    }
}
