using System.Buffers.Binary;
using System.IO.Compression;
using System.IO.Hashing;

namespace Flamingo.Fixtures.Attacks;

/// <summary>PNG files of one colour: small files of any number of pixels, which are expensive to decode.</summary>
public static class FlatPicture
{
    private static readonly Dictionary<int, byte[]> Pixels = []; // compressed rows by side; they do not depend on the colour

    /// <param name="side">Width and height in pixels.</param>
    /// <param name="colour">Red, green and blue in the lowest 24 bits. Different colours give different pictures.</param>
    public static ReadOnlyMemory<byte> Create(int side, int colour)
    {
        using var file = new MemoryStream();
        file.Write([0x89, (byte)'P', (byte)'N', (byte)'G', 13, 10, 26, 10]);
        var header = new byte[13];
        BinaryPrimitives.WriteInt32BigEndian(header, side);
        BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(4), side);
        (header[8], header[9]) = (1, 3); // one bit per pixel, which selects a colour of the palette
        Write(file, "IHDR"u8, header);
        Write(file, "PLTE"u8, [(byte)(colour >> 16), (byte)(colour >> 8), (byte)colour, 0, 0, 0]);
        Write(file, "IDAT"u8, Rows(side));
        Write(file, "IEND"u8, []);
        return file.ToArray();
    }

    private static byte[] Rows(int side)
    {
        lock (Pixels)
        {
            if (Pixels.TryGetValue(side, out var known)) return known;
            using var compressed = new MemoryStream();
            using (var zlib = new ZLibStream(compressed, CompressionLevel.Optimal)) zlib.Write(new byte[side * (1 + ((side + 7) / 8))]);
            return Pixels[side] = compressed.ToArray();
        }
    }

    private static void Write(MemoryStream file, ReadOnlySpan<byte> type, ReadOnlySpan<byte> data)
    {
        var number = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(number, data.Length);
        file.Write(number);
        file.Write(type);
        file.Write(data);
        var check = new Crc32();
        check.Append(type);
        check.Append(data);
        BinaryPrimitives.WriteUInt32BigEndian(number, check.GetCurrentHashAsUInt32());
        file.Write(number);
    }
}
