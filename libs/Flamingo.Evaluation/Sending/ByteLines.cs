namespace Flamingo.Evaluation.Sending;

/// <summary>A line of a file as it lies there.</summary>
/// <param name="Offset">Place of its first byte in the file.</param>
/// <param name="Bytes">Without the end of line, which is <c>\n</c>; a <c>\r</c> before it is kept.</param>
/// <param name="IsWhole">Whether an end of line follows; only the last line of a file may lack it.</param>
public readonly record struct ByteLine(long Offset, byte[] Bytes, bool IsWhole);

/// <summary>
/// Reads a file line by line, as bytes: offsets stay exact, and what is not UTF-8 is not silently replaced. Memory holds the longest line.
/// </summary>
public static class ByteLines
{
    private const int FirstBuffer = 1 << 16;

    /// <param name="stream">It is read from its beginning.</param>
    public static IEnumerable<ByteLine> Read(Stream stream)
    {
        stream.Position = 0;
        var (buffer, filled, offset) = (new byte[FirstBuffer], 0, 0L);
        while (true)
        {
            var start = 0;
            for (int end; (end = Array.IndexOf(buffer, (byte)'\n', start, filled - start)) >= 0; start = end + 1)
                yield return new ByteLine(offset + start, buffer[start..end], true);
            offset += start;
            filled -= start;
            Array.Copy(buffer, start, buffer, 0, filled);
            if (filled == buffer.Length) Array.Resize(ref buffer, 2 * buffer.Length);
            var read = stream.Read(buffer, filled, buffer.Length - filled);
            filled += read;
            if (read > 0) continue;
            if (filled > 0) yield return new ByteLine(offset, buffer[..filled], false);
            yield break;
        }
    }
}
