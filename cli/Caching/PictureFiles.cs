using System.Text.Json;
using Flamingo.Cli.Reading;
using Flamingo.Cli.Reporting;

namespace Flamingo.Cli.Caching;

/// <summary>Which files a folder, a picture or a list names; each once, in a fixed order.</summary>
public static class PictureFiles
{
    private static readonly string[] Endings = [".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"];

    /// <exception cref="UsageException">There is none.</exception>
    public static IReadOnlyList<string> Find(string source)
    {
        IEnumerable<string> files = File.Exists(source) && IsPicture(source) ? [source]
            : Directory.Exists(source) ? PicturesIn(source)
            : JsonLines.Read(source, Named);
        IReadOnlyList<string> found = [.. files.Distinct(StringComparer.Ordinal)];
        if (found.Count > 0) return found;
        throw new UsageException($"{source} holds no picture. Name a folder of {string.Join(", ", Endings)} files, or one of them.");
    }

    private static IEnumerable<string> PicturesIn(string folder) =>
        Directory.EnumerateFiles(folder, "*", new EnumerationOptions { RecurseSubdirectories = true })
            .Where(IsPicture).Order(StringComparer.Ordinal);

    private static bool IsPicture(string path) => Endings.Contains(Path.GetExtension(path).ToLowerInvariant());

    // whether the file is there is seen when it is read: a missing one keeps nobody from the others
    private static string? Named(JsonElement line, string folder, string at, List<string> faults)
    {
        if (line.TryGetProperty("picture", out var picture) && picture.ValueKind == JsonValueKind.String)
            return Path.Combine(folder, picture.GetString()!);
        faults.Add($"{at}: needs 'picture', a path.");
        return null;
    }
}
