using System.Text.Json;
using Flamingo.Cli.Reading;
using Flamingo.Cli.Reporting;

namespace Flamingo.Cli.Caching;

/// <summary>Finds the picture files that a folder, a picture path or a list file names, without duplicates and in a fixed order.</summary>
public static class PictureFiles
{
    private static readonly string[] Endings = [".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"];

    /// <exception cref="UsageException">The source names no picture.</exception>
    public static IReadOnlyList<string> Find(string source)
    {
        IEnumerable<string> files = File.Exists(source) && IsPicture(source) ? [source]
            : Directory.Exists(source) ? PicturesIn(source)
            : JsonLines.Read(source, PathOf);
        IReadOnlyList<string> found = [.. files.Distinct(StringComparer.Ordinal)];
        if (found.Count > 0) return found;
        throw new UsageException($"{source} holds no picture. Name a folder with {string.Join(", ", Endings)} files, or one such file.");
    }

    private static IEnumerable<string> PicturesIn(string folder) =>
        Directory.EnumerateFiles(folder, "*", new EnumerationOptions { RecurseSubdirectories = true })
            .Where(IsPicture).Order(StringComparer.Ordinal);

    private static bool IsPicture(string path) => Endings.Contains(Path.GetExtension(path).ToLowerInvariant());

    // Whether the file exists is checked when it is read, so that a missing file does not prevent the other files from being sent.
    private static string? PathOf(JsonElement line, string folder, string at, List<string> faults)
    {
        if (line.TryGetProperty("picture", out var picture) && picture.ValueKind == JsonValueKind.String)
            return Path.Combine(folder, picture.GetString()!);
        faults.Add($"{at}: the member 'picture', a path, is missing.");
        return null;
    }
}
