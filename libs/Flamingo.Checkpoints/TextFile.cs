using System.Text;

namespace Flamingo.Checkpoints;

/// <summary>Reads the small files of a checkpoint (configurations, tokenizers, indices) as a whole.</summary>
public static class TextFile
{
    private const long MostBytes = 256 << 20; // The largest tokenizer.json that has been published so far has 35 MB.

    /// <summary>
    /// Returns the size of a file in bytes. For a link it is the size of the target: the cache of Hugging Face consists of links, and
    /// <see cref="FileInfo"/> would give the size of the link itself.
    /// </summary>
    public static long Length(string path)
    {
        using var handle = File.OpenHandle(path);
        return RandomAccess.GetLength(handle);
    }

    /// <summary>Reads a JSON file and omits the byte-order mark that some editors write.</summary>
    /// <inheritdoc cref="Read"/>
    public static ReadOnlyMemory<byte> ReadJson(string path)
    {
        var bytes = Read(path);
        return bytes.AsSpan().StartsWith(Encoding.UTF8.Preamble) ? bytes.AsMemory(Encoding.UTF8.Preamble.Length) : bytes;
    }

    /// <summary>Reads a file of at most 256 MiB.</summary>
    /// <exception cref="CheckpointException">The file cannot be read or is too large.</exception>
    public static byte[] Read(string path)
    {
        try
        {
            var length = Length(path);
            return length <= MostBytes ? File.ReadAllBytes(path)
                : throw new CheckpointException($"{path} has {length} bytes; a file of its kind has {MostBytes} at most.");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException($"{path} cannot be read: {exception.Message}", exception);
        }
    }
}
