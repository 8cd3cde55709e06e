using System.Text.Json;
using Flamingo.Abstractions;

namespace Flamingo.Cli.Reading;

/// <summary>
/// Pictures and clips as files name them: <c>{"picture": path}</c>, <c>{"video": path}</c> or <c>{"frames": [path, …]}</c>, the
/// last two with or without <c>"max_frames"</c>.
/// </summary>
public static class VisualJson
{
    public const string MaxFrames = "max_frames";

    /// <summary>The members of which an object has one.</summary>
    public static IReadOnlyList<string> Kinds { get; } = ["picture", "video", "frames"];

    /// <param name="folder">What paths are relative to.</param>
    /// <param name="at">Where the object stands, for faults.</param>
    /// <param name="kind">Which of <see cref="Kinds"/> it has.</param>
    /// <returns>Null after a fault was added.</returns>
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

    // segments[2].picture in a file of JSON, "line 2: picture" in one of lines
    private static string Member(string at, string name) => at.EndsWith(']') ? $"{at}.{name}" : $"{at}: {name}";

    private static byte[]? ReadFile(JsonElement value, string folder, string at, List<string> faults)
    {
        if (value.ValueKind != JsonValueKind.String)
        {
            faults.Add($"{at}: must be a string.");
            return null;
        }

        var path = value.GetString()!;
        const string Expected = "a file relative to the one that names it";
        if (path is not ("" or InputFile.StandardInput)) return InputFile.Read(Path.Combine(folder, path), $"{at}: ", Expected, faults);
        faults.Add($"{at}: '{path}' is no path. Name {Expected}.");
        return null;
    }
}
