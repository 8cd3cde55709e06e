using System.CommandLine;
using System.CommandLine.Parsing;

namespace Flamingo.Cli.Arguments;

/// <summary>What is wrong with a path that a user names, said before anything is read or computed.</summary>
public static class PathRules
{
    /// <summary>The option's folder must be there.</summary>
    /// <param name="expected">What to name, for example "a model directory".</param>
    public static Option<DirectoryInfo> MustExist(this Option<DirectoryInfo> option, string expected)
    {
        option.Validators.Add(result => Check(result, option.Name, path => MissingFolder(path, expected)));
        return option;
    }

    /// <summary>The argument's folder must be there.</summary>
    /// <inheritdoc cref="MustExist(Option{DirectoryInfo}, string)"/>
    public static Argument<DirectoryInfo> MustExist(this Argument<DirectoryInfo> argument, string expected)
    {
        argument.Validators.Add(result => Check(result, argument.Name, path => MissingFolder(path, expected)));
        return argument;
    }

    /// <summary>The option's file or folder must be there.</summary>
    /// <inheritdoc cref="MustExist(Option{DirectoryInfo}, string)"/>
    public static Option<FileSystemInfo> MustExist(this Option<FileSystemInfo> option, string expected)
    {
        option.Validators.Add(result => Check(result, option.Name, path => Path.Exists(path) ? null : Nothing(path, expected)));
        return option;
    }

    /// <summary>The option's file is written at the end: its folder must be there now.</summary>
    /// <param name="endings">With one of these its name must end, for example ".png"; none: it may end as it likes.</param>
    public static Option<FileInfo> MustBeWritable(this Option<FileInfo> option, params string[] endings)
    {
        option.Validators.Add(result => Check(result, option.Name, path => UnwritableFile(path, endings)));
        return option;
    }

    /// <summary>What keeps a file from being read; null if nothing does.</summary>
    /// <inheritdoc cref="MustExist(Option{DirectoryInfo}, string)"/>
    public static string? MissingFile(string path, string expected) =>
        Directory.Exists(path) ? $"{path} is a folder. Name {expected}." : File.Exists(path) ? null : Nothing(path, expected);

    private static string? MissingFolder(string path, string expected) =>
        File.Exists(path) ? $"{path} is a file. Name {expected}." : Directory.Exists(path) ? null : Nothing(path, expected);

    private static string Nothing(string path, string expected) => $"{Quoted(path)} does not exist. Name {expected}.";

    private static string? UnwritableFile(string path, string[] endings)
    {
        if (Directory.Exists(path)) return $"{path} is a folder. Name a file to write.";
        if (path.Length == 0 || (endings.Length > 0 && !endings.Contains(Path.GetExtension(path), StringComparer.OrdinalIgnoreCase)))
            return $"{Quoted(path)} is no {(endings.Length > 0 ? $"{string.Join(" or ", endings)} " : "")}file. Name one.";
        var folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        return Directory.Exists(folder) ? null : $"the folder {folder} does not exist. Make it first, or name another.";
    }

    private static string Quoted(string path) => path.Length == 0 ? "''" : path;

    private static void Check(SymbolResult result, string name, Func<string, string?> problem)
    {
        foreach (var token in result.Tokens)
            if (problem(token.Value) is { } found) result.AddError($"{name}: {found}");
    }
}
