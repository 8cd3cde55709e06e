using System.Text;
using System.Text.Unicode;
using Flamingo.Cli.Arguments;

namespace Flamingo.Cli.Reading;

/// <summary>
/// Reads the complete content of files that a user names; <c>-</c> is standard input. A file that cannot be read gives an error that
/// names the file and what the user should name instead.
/// </summary>
public static class InputFile
{
    public const string StandardInput = "-", Pictures = "a JPEG, PNG, WebP, GIF or BMP file";

    /// <summary>The name of a file in error messages.</summary>
    public static string Name(string path) => path == StandardInput ? "standard input" : path;

    /// <summary>The folder to which paths inside of a file are relative.</summary>
    public static string Folder(string path) =>
        path is StandardInput or "" ? Environment.CurrentDirectory : Path.GetDirectoryName(Path.GetFullPath(path)) ?? path;

    /// <param name="at">Prefix of the error message that says where the file was named, for example "--picture: "; may be empty.</param>
    /// <param name="expected">What the path must name, for the error message, for example "a prompt file".</param>
    /// <returns>At least one byte; null if an error was added to <paramref name="faults"/>.</returns>
    public static byte[]? Read(string path, string at, string expected, List<string> faults)
    {
        try
        {
            if (path != StandardInput && PathRules.MissingFile(path, expected) is { } missing) return Fault(missing);
            var bytes = path == StandardInput ? FromStandardInput() : File.ReadAllBytes(path);
            if (bytes.Length > 0) return bytes;
            return Fault(path == StandardInput ? "standard input is empty. It can be read only once."
                : $"{path} is empty. Name {expected}.");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            return Fault($"{Name(path)} cannot be read: {exception.Message}");
        }

        byte[]? Fault(string fault)
        {
            faults.Add(at + fault);
            return null;
        }
    }

    /// <summary>Reads a file as text: UTF-8, or the encoding that a byte-order mark indicates.</summary>
    /// <inheritdoc cref="Read"/>
    public static string? ReadText(string path, string at, string expected, List<string> faults)
    {
        if (Read(path, at, expected, faults) is not { } bytes) return null;
        try
        {
            return new StreamReader(new MemoryStream(bytes), new UTF8Encoding(false, throwOnInvalidBytes: true)).ReadToEnd();
        }
        catch (DecoderFallbackException)
        {
            faults.Add($"{at}{Name(path)}, line {FirstInvalidLine(bytes)}: this is not UTF-8. Save the file in UTF-8.");
            return null;
        }
    }

    private static byte[] FromStandardInput()
    {
        using var input = Console.OpenStandardInput();
        using var read = new MemoryStream();
        input.CopyTo(read);
        return read.ToArray();
    }

    private static int FirstInvalidLine(ReadOnlySpan<byte> bytes)
    {
        var number = 1;
        foreach (var line in bytes.Split((byte)'\n'))
        {
            if (!Utf8.IsValid(bytes[line])) break;
            number++;
        }

        return number;
    }
}
