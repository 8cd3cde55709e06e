using System.CommandLine;
using System.CommandLine.Parsing;

namespace Flamingo.Cli.Arguments;

/// <summary>Checks paths on the command line, so that a wrong path is reported before anything is read or computed.</summary>
public static class PathRules
{
    /// <summary>Requires that the option's folder exists.</summary>
    /// <param name="expected">What the path must name, for the error message, for example "a model directory".</param>
    public static Option<DirectoryInfo> MustExist(this Option<DirectoryInfo> option, string expected)
    {
        option.Validators.Add(result => Check(result, option.Name, path => MissingFolder(path, expected)));
        return option;
    }

    /// <summary>Requires that the argument's folder exists.</summary>
    /// <inheritdoc cref="MustExist(Option{DirectoryInfo}, string)"/>
    public static Argument<DirectoryInfo> MustExist(this Argument<DirectoryInfo> argument, string expected)
    {
        argument.Validators.Add(result => Check(result, argument.Name, path => MissingFolder(path, expected)));
        return argument;
    }

    /// <summary>Requires that the option's file or folder exists.</summary>
    /// <inheritdoc cref="MustExist(Option{DirectoryInfo}, string)"/>
    public static Option<FileInfo> MustExist(this Option<FileInfo> option, string expected)
    {
        option.Validators.Add(result => Check(result, option.Name, path => MissingFile(path, expected)));
        return option;
    }

    /// <inheritdoc cref="MustExist(Option{DirectoryInfo}, string)"/>
    public static Option<FileSystemInfo> MustExist(this Option<FileSystemInfo> option, string expected)
    {
        option.Validators.Add(result => Check(result, option.Name, path => Path.Exists(path) ? null : DoesNotExist(path, expected)));
        return option;
    }

    /// <summary>Requires that the option's file can be created when the command ends: its folder must exist now.</summary>
    /// <param name="endings">Allowed file name extensions, for example ".png"; empty allows every extension.</param>
    public static Option<FileInfo> MustBeWritable(this Option<FileInfo> option, params string[] endings)
    {
        option.Validators.Add(result => Check(result, option.Name, path => UnwritableFile(path, endings)));
        return option;
    }

    /// <summary>The reason why a file cannot be read, as an error message; null if the file exists.</summary>
    /// <inheritdoc cref="MustExist(Option{DirectoryInfo}, string)"/>
    public static string? MissingFile(string path, string expected) =>
        Directory.Exists(path) ? $"{path} is a folder. Name {expected}." : File.Exists(path) ? null : DoesNotExist(path, expected);

    private static string? MissingFolder(string path, string expected) =>
        File.Exists(path) ? $"{path} is a file. Name {expected}." : Directory.Exists(path) ? null : DoesNotExist(path, expected);

    private static string DoesNotExist(string path, string expected) => $"{Quoted(path)} does not exist. Name {expected}.";

    private static string? UnwritableFile(string path, string[] endings)
    {
        if (Directory.Exists(path)) return $"{path} is a folder. Name a file to write.";
        if (path.Length == 0 || (endings.Length > 0 && !endings.Contains(Path.GetExtension(path), StringComparer.OrdinalIgnoreCase)))
            return $"{Quoted(path)} is not a {(endings.Length > 0 ? $"{string.Join(" or ", endings)} " : "")}file. Give a file name.";
        var folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        return Directory.Exists(folder) ? null : $"the folder {folder} does not exist. Create it first, or name another folder.";
    }

    private static string Quoted(string path) => path.Length == 0 ? "''" : path;

    private static void Check(SymbolResult result, string name, Func<string, string?> problem)
    {
        foreach (var token in result.Tokens)
            if (problem(token.Value) is { } found) result.AddError($"{name}: {found}");
    }
}
