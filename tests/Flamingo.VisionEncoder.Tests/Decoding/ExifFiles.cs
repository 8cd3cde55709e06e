using System.Buffers.Binary;
using System.Text;
using Flamingo.VisionEncoder.Decoding;

namespace Flamingo.VisionEncoder.Tests.Decoding;

/// <summary>Writes an orientation into the EXIF data of a JPEG, PNG or WebP that has none.</summary>
internal static class ExifFiles
{
    /// <param name="kind">jpeg, png or webp.</param>
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

    // one entry: tag 0x0112, a short, once, left-aligned in four bytes
    private static byte[] Tiff(int orientation, bool littleEndian) => littleEndian
        ? [.. "II"u8, 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 0x01, 3, 0, 1, 0, 0, 0, (byte)orientation, 0, 0, 0, 0, 0, 0, 0]
        : [.. "MM"u8, 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, (byte)orientation, 0, 0, 0, 0, 0, 0];

    // EXIF data needs the extended header: its flag 8, and in animations 2, then 24 bits each of width - 1 and height - 1
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
