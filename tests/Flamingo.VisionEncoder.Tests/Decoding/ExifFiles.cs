using System.Buffers.Binary;
using System.Text;
using Flamingo.VisionEncoder.Decoding;

namespace Flamingo.VisionEncoder.Tests.Decoding;

/// <summary>Writes an orientation into the EXIF data of a JPEG, PNG or WebP that has none.</summary>
internal static class ExifFiles
{
    /// <param name="orientation">EXIF orientation to write.</param>
    /// <param name="kind">Format of the file: jpeg, png or webp.</param>
    /// <param name="file">The file without EXIF data.</param>
    /// <param name="littleEndian">Byte order of the EXIF data.</param>
    public static byte[] With(int orientation, string kind, byte[] file, bool littleEndian = false)
    {
        var tiff = Tiff(orientation, littleEndian);
        return kind switch
        {
            "jpeg" => [.. file[..2], 0xFF, 0xE1, 0, (byte)(8 + tiff.Length), .. "Exif\0\0"u8, .. tiff, .. file[2..]],
            "png" => [.. file[..33], .. Png.Chunk("eXIf"u8, tiff), .. file[33..]],
            _ => WebP(tiff, file),
        };
    }

    // The directory has one entry: tag 0x0112, type short, count 1, and the value left-aligned in four bytes.
    private static byte[] Tiff(int orientation, bool littleEndian) => littleEndian
        ? [.. "II"u8, 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 0x01, 3, 0, 1, 0, 0, 0, (byte)orientation, 0, 0, 0, 0, 0, 0, 0]
        : [.. "MM"u8, 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, (byte)orientation, 0, 0, 0, 0, 0, 0];

    // EXIF data needs the extended header of WebP: flag 8 (and 2 for animations), then width - 1 and height - 1 with 24 bits each.
    private static byte[] WebP(byte[] tiff, byte[] file)
    {
        var isExtended = file.AsSpan(12).StartsWith("VP8X"u8);
        var (width, height) = new SkiaPictureDecoder().ReadSize(file)!.Value;
        byte[] size = [(byte)(width - 1), (byte)((width - 1) >> 8), 0, (byte)(height - 1), (byte)((height - 1) >> 8), 0];
        byte[] header = [(byte)(8 | (isExtended ? file[20] : 0)), 0, 0, 0, .. size];
        return Chunk("RIFF", [.. "WEBP"u8, .. Chunk("VP8X", header), .. file[(isExtended ? 30 : 12)..], .. Chunk("EXIF", tiff)]);
    }

    private static byte[] Chunk(string kind, byte[] data)
    {
        var length = new byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(length, data.Length);
        return [.. Encoding.ASCII.GetBytes(kind), .. length, .. data, .. data.Length % 2 == 1 ? new byte[1] : []];
    }
}
