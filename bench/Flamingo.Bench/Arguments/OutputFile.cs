using System.CommandLine;

namespace Flamingo.Bench.Arguments;

/// <summary>An option for a file that is written at the end of a run: whether it can be is checked before anything is measured.</summary>
internal static class OutputFile
{
    /// <param name="endings">The file's name must end with one of these, for example ".png"; none: any name will do.</param>
    public static Option<FileInfo> MustBeWritable(this Option<FileInfo> option, params string[] endings)
    {
        option.Validators.Add(result =>
        {
            foreach (var token in result.Tokens)
                if (Problem(token.Value, endings) is { } problem) result.AddError($"{option.Name}: {problem}");
        });
        return option;
    }

    private static string? Problem(string path, string[] endings)
    {
        if (path.Length == 0) return "name a file to write.";
        if (Directory.Exists(path)) return $"{path} is a folder. Name a file to write.";
        if (endings.Length > 0 && !endings.Contains(Path.GetExtension(path), StringComparer.OrdinalIgnoreCase))
            return $"{path} is no {string.Join(" or ", endings)} file. Name one.";
        var folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        return Directory.Exists(folder) ? null : $"the folder {folder} does not exist. Make it first, or name another.";
    }
}
