using System.CommandLine;

namespace Flamingo.Bench.Arguments;

/// <summary>Checks, before anything is measured, that a file can be written at the end of the run.</summary>
internal static class OutputFile
{
    /// <param name="endings">Allowed file name extensions, for example ".png"; empty allows every extension.</param>
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
            return $"{path} is not a {string.Join(" or ", endings)} file. Give a file name.";
        var folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        return Directory.Exists(folder) ? null : $"the folder {folder} does not exist. Create it first, or name another folder.";
    }
}
