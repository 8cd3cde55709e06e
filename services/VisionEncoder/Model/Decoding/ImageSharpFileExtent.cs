using System.Buffers.Binary;

namespace Flamingo.VisionEncoder.Decoding;

/// <summary>
/// Tells whether a JPEG, PNG, GIF, BMP or still WebP file is complete. It follows the blocks of the file and decodes nothing.
/// </summary>
/// <param name="Frames">Number of frames that begin in the file; 1 for a still picture.</param>
/// <param name="WholeFrames">Number of frames that also end in the file; 0 for a truncated still picture.</param>
internal readonly record struct FileExtent(int Frames, int WholeFrames)
{
    private const int GifColors = 0x80, GifExtension = 0x21, GifImage = 0x2C;
    private const byte JpegScan = 0xDA, JpegEnd = 0xD9;

    public static FileExtent Of(ReadOnlyMemory<byte> file)
    {
        try
        {
            return file.Span.StartsWith("GIF8"u8) ? OfGif(file.Span) : new(1, IsWholeStill(file) ? 1 : 0);
        }
        catch (ArgumentOutOfRangeException) // The header of a block extends beyond the end of the file.
        {
            return new(1, 0);
        }
    }

    private static bool IsWholeStill(ReadOnlyMemory<byte> file) => file.Span[..4] switch
    {
        [0x89, (byte)'P', ..] => HasPngEnd(file.Span),
        [(byte)'B', (byte)'M', ..] => HasBmpPixels(file.Span),
        [(byte)'R', (byte)'I', ..] => WebPAnimation.IsWholeStill(file),
        _ => HasJpegEnd(file.Span),
    };

    // A GIF is a header, a colour table and blocks. An extension block is a label and sub-blocks. An image block is a position and size, a
    // colour table, a code size and sub-blocks.
    private static FileExtent OfGif(ReadOnlySpan<byte> file)
    {
        var (frames, whole) = (0, 0);
        if (file.Length < 13) return new(1, 0);
        for (var at = 13 + Colors(file[10]); at < file.Length && file[at] is GifExtension or GifImage;)
        {
            var isImage = file[at] == GifImage;
            if (isImage) frames++;
            at += isImage ? at + 10 < file.Length ? 11 + Colors(file[at + 9]) : file.Length : 2;
            while (at < file.Length && file[at] != 0) at += 1 + file[at];
            if (at++ < file.Length && isImage) whole++;
        }

        return new(Math.Max(1, frames), whole);

        static int Colors(byte flags) => (flags & GifColors) == 0 ? 0 : 3 << ((flags & 7) + 1);
    }

    // A PNG is a sequence of chunks, each with length, kind, content and checksum. IEND is the last chunk.
    private static bool HasPngEnd(ReadOnlySpan<byte> file)
    {
        for (long at = 8; at + 12 <= file.Length; at += 12 + BinaryPrimitives.ReadUInt32BigEndian(file[(int)at..]))
            if (file.Slice((int)at + 4, 4).SequenceEqual("IEND"u8)) return true;
        return false;
    }

    // A JPEG is a sequence of segments, each with a marker and a length. In the data after the header of a scan, a byte 0xFF begins a
    // marker, and 0xFF 0x00 stands for the byte 0xFF.
    private static bool HasJpegEnd(ReadOnlySpan<byte> file)
    {
        for (var at = 2; at + 4 <= file.Length;)
        {
            if (file[at] != 0xFF) return false;
            var isScan = file[at + 1] == JpegScan;
            at += 2 + BinaryPrimitives.ReadUInt16BigEndian(file[(at + 2)..]);
            if (!isScan) continue;
            while (at + 1 < file.Length && (file[at] != 0xFF || file[at + 1] is 0 or 0xFF or (>= 0xD0 and <= 0xD7))) at++;
            if (at + 1 < file.Length && file[at + 1] == JpegEnd) return true;
        }

        return false;
    }

    // An uncompressed BMP has rows of pixels that are padded to four bytes. A compressed BMP has the size of its pixels in the header.
    private static bool HasBmpPixels(ReadOnlySpan<byte> file)
    {
        var (pixels, header) = (BinaryPrimitives.ReadUInt32LittleEndian(file[10..]), BinaryPrimitives.ReadUInt32LittleEndian(file[14..]));
        var isCore = header == 12; // The OS/2 header has 16-bit fields.
        long width = isCore ? BinaryPrimitives.ReadUInt16LittleEndian(file[18..]) : BinaryPrimitives.ReadInt32LittleEndian(file[18..]);
        long height = isCore ? BinaryPrimitives.ReadUInt16LittleEndian(file[20..]) : BinaryPrimitives.ReadInt32LittleEndian(file[22..]);
        var bits = BinaryPrimitives.ReadUInt16LittleEndian(file[(isCore ? 24 : 28)..]);
        var isPacked = !isCore && BinaryPrimitives.ReadUInt32LittleEndian(file[30..]) is 1 or 2;
        var bytes = isPacked ? BinaryPrimitives.ReadUInt32LittleEndian(file[34..]) : ((width * bits) + 31) / 32 * 4 * Math.Abs(height);
        return pixels + bytes <= file.Length;
    }
}
