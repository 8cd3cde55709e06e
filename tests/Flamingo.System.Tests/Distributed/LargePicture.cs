using System.Buffers.Binary;
using System.IO.Compression;
using System.IO.Hashing;

namespace Flamingo.SystemTests.Distributed;

/// <summary>
/// Flat gray PNG files of 7000 × 7000 pixels, just below the default limit. Each has some 50 kB and takes most of a second to decode.
/// </summary>
internal static class LargePicture
{
    public const int Side = 7000;

    private static readonly Lazy<byte[]> Rows = new(() =>
    {
        using var packed = new MemoryStream();
        using (var zlib = new ZLibStream(packed, CompressionLevel.Fastest, leaveOpen: true))
        {
            var row = new byte[Side + 1]; // no filter, black
            for (var y = 0; y < Side; y++) zlib.Write(row);
        }

        return packed.ToArray();
    });

    /// <summary>Files with different numbers are different pictures, because a text chunk contains the number.</summary>
    public static byte[] Png(int number)
    {
        var header = new byte[13];
        BinaryPrimitives.WriteInt32BigEndian(header, Side);
        BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(4), Side);
        header[8] = 8; // bits of a gray level
        var text = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(text, number);
        return
        [
            0x89, .. "PNG\r\n\u001a\n"u8, .. Chunk("IHDR"u8, header), .. Chunk("teSt"u8, text), .. Chunk("IDAT"u8, Rows.Value),
            .. Chunk("IEND"u8, []),
        ];
    }

    private static byte[] Chunk(ReadOnlySpan<byte> kind, byte[] data)
    {
        byte[] body = [.. kind, .. data];
        var chunk = new byte[body.Length + 8];
        BinaryPrimitives.WriteInt32BigEndian(chunk, data.Length);
        body.CopyTo(chunk, 4);
        BinaryPrimitives.WriteUInt32BigEndian(chunk.AsSpan(chunk.Length - 4), Crc32.HashToUInt32(body));
        return chunk;
    }
}
