using System.Text;

namespace Flamingo.Checkpoints;

/// <summary>Reads a checkpoint's smaller files (configurations, tokenizers, indices) as a whole.</summary>
public static class TextFile
{
    private const long MostBytes = 256 << 20; // The largest tokenizer.json published so far has 35 MB.

    /// <summary>
    /// Bytes of a file, or of what a link points to: the cache of Hugging Face consists of links, and <see cref="FileInfo"/> measures those
    /// themselves.
    /// </summary>
    public static long Length(string path)
    {
        using var handle = File.OpenHandle(path);
        return RandomAccess.GetLength(handle);
    }

    /// <summary>Bytes of a JSON file, without the byte-order mark that some editors write.</summary>
    /// <inheritdoc cref="Read"/>
    public static ReadOnlyMemory<byte> ReadJson(string path)
    {
        var bytes = Read(path);
        return bytes.AsSpan().StartsWith(Encoding.UTF8.Preamble) ? bytes.AsMemory(Encoding.UTF8.Preamble.Length) : bytes;
    }

    /// <exception cref="CheckpointException">Not readable, or too large to be what it is called.</exception>
    public static byte[] Read(string path)
    {
        try
        {
            var length = Length(path);
            return length <= MostBytes
                ? File.ReadAllBytes(path)
                : throw new CheckpointException($"{path} has {length} bytes; a file of its kind has {MostBytes} at most.");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException($"{path} cannot be read: {exception.Message}", exception);
        }
    }
}
