using IO = System.IO;

namespace Flamingo.Evaluation.Datasets.Reading;

/// <summary>
/// The folder that a benchmark's pictures are in. It finds paths of pictures and opens none. A name never leads out of the folder.
/// </summary>
internal sealed class PictureFolder(string folder)
{
    private readonly Dictionary<string, string?> _known = new(StringComparer.Ordinal);

    public string Path { get; } = IO.Path.TrimEndingDirectorySeparator(IO.Path.GetFullPath(folder));

    /// <summary>Finds a picture under the first of some names that exists; a missing one is a fault of the entry.</summary>
    /// <param name="names">Paths relative to the folder, the name that the fault mentions first.</param>
    public string? Find(JsonEntry entry, params ReadOnlySpan<string> names)
    {
        // many questions ask about one picture, and its path is kept once
        if (_known.TryGetValue(names[0], out var known) && known is not null) return known;
        foreach (var name in names)
        {
            if (Inside(name) is not { } path)
            {
                entry.Fault($"The picture's name {name} leads out of its folder.", "Names are relative to the folder, without '..'.");
                return null;
            }

            if (!File.Exists(path)) continue;
            _known[names[0]] = path;
            return path;
        }

        entry.Fault($"The picture {names[0]} is not in {Path}.", "Put it there, name the right folder, or take the entry out.");
        return null;
    }

    private string? Inside(string name)
    {
        if (name.Length == 0 || name.Contains('\0', StringComparison.Ordinal) || IO.Path.IsPathRooted(name)) return null;
        if (name.Split('/', '\\').Contains("..")) return null;
        return IO.Path.Combine(Path, name);
    }
}
