using System.Buffers.Binary;

namespace Flamingo.VisionEncoder.Decoding;

/// <summary>How much of a JPEG, PNG, GIF, BMP or still WebP file is there, by its blocks alone, nothing decoded.</summary>
/// <param name="Frames">Frames that begin in the file; 1 of a still.</param>
/// <param name="WholeFrames">Frames that end in it too; 0 of a truncated still.</param>
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
        catch (ArgumentOutOfRangeException) // a block's head ends behind the file
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

    // A header, colours, and blocks: an extension is a label and sub-blocks; an image a place, colours, a code size and sub-blocks.
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

    // Chunks of length, kind, content and checksum; IEND is the last.
    private static bool HasPngEnd(ReadOnlySpan<byte> file)
    {
        for (long at = 8; at + 12 <= file.Length; at += 12 + BinaryPrimitives.ReadUInt32BigEndian(file[(int)at..]))
            if (file.Slice((int)at + 4, 4).SequenceEqual("IEND"u8)) return true;
        return false;
    }

    // Segments of a marker and a length; what follows the head of a scan has markers behind 0xFF, and 0xFF 0x00 for 0xFF itself.
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

    // Rows of pixels padded to four bytes, where nothing is compressed; compressed ones have their size in the header.
    private static bool HasBmpPixels(ReadOnlySpan<byte> file)
    {
        var (pixels, header) = (BinaryPrimitives.ReadUInt32LittleEndian(file[10..]), BinaryPrimitives.ReadUInt32LittleEndian(file[14..]));
        var isCore = header == 12; // OS/2: half as wide fields
        long width = isCore ? BinaryPrimitives.ReadUInt16LittleEndian(file[18..]) : BinaryPrimitives.ReadInt32LittleEndian(file[18..]);
        long height = isCore ? BinaryPrimitives.ReadUInt16LittleEndian(file[20..]) : BinaryPrimitives.ReadInt32LittleEndian(file[22..]);
        var bits = BinaryPrimitives.ReadUInt16LittleEndian(file[(isCore ? 24 : 28)..]);
        var isPacked = !isCore && BinaryPrimitives.ReadUInt32LittleEndian(file[30..]) is 1 or 2;
        var bytes = isPacked ? BinaryPrimitives.ReadUInt32LittleEndian(file[34..]) : ((width * bits) + 31) / 32 * 4 * Math.Abs(height);
        return pixels + bytes <= file.Length;
    }
}
