using System.Security.Cryptography;

namespace Flamingo.Training.Data;

/// <summary>
/// Features of pictures in a folder, one file for each: the SHA-256 of the features, and the features. A file is written beside and
/// renamed, so several runs may share a folder. A file that is damaged counts as missing.
/// </summary>
/// <param name="folder">Folder of one encoder; it is created with the first file.</param>
/// <param name="bytes">Size of a picture's features.</param>
internal sealed class FeatureFolder(string folder, int bytes)
{
    private int _written;

    /// <summary>Why nothing is written any more, such as a full disk; null while all is well.</summary>
    public string? Fault { get; private set; }

    /// <param name="name">Name of the picture, lowercase hexadecimal.</param>
    /// <returns>Null if there are none.</returns>
    public byte[]? Read(string name)
    {
        try
        {
            using var file = File.OpenHandle(PathOf(name));
            if (RandomAccess.GetLength(file) != SHA256.HashSizeInBytes + bytes) return null;
            Span<byte> expected = stackalloc byte[SHA256.HashSizeInBytes];
            var features = new byte[bytes];
            if (RandomAccess.Read(file, expected, 0) != expected.Length || RandomAccess.Read(file, features, expected.Length) != bytes)
                return null;
            return SHA256.HashData(features).AsSpan().SequenceEqual(expected) ? features : null;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Keeps features. If that fails, nothing is kept from then on, since training can go on without.</summary>
    public void Write(string name, ReadOnlySpan<byte> features)
    {
        if (Fault is not null) return;
        var path = PathOf(name);
        var beside = $"{path}.{Environment.ProcessId}.{_written++}.part";
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            using (var file = File.OpenHandle(beside, FileMode.CreateNew, FileAccess.Write))
            {
                RandomAccess.Write(file, SHA256.HashData(features), 0);
                RandomAccess.Write(file, features, SHA256.HashSizeInBytes);
            }

            File.Move(beside, path, overwrite: true);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            Fault = $"{folder} takes no more features: {exception.Message}";
            TryDelete(beside);
        }
    }

    private static void TryDelete(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // The file stays behind; nobody reads it.
        }
    }

    private string PathOf(string name) => Path.Combine(folder, name[..2], $"{name}.features");
}
