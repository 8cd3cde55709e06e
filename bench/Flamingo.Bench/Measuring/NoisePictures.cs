using System.Buffers.Binary;

namespace Flamingo.Bench.Measuring;

/// <summary>
/// New pictures that are in no cache: BMP files of random noise, all different; a seed always gives the same sequence.
/// They have the input size of the vision tower, so that the cost of decoding and scaling is small.
/// </summary>
public sealed class NoisePictures(int side, int seed)
{
    private const int Header = 54;
    private readonly Random _random = new(seed);

    public ReadOnlyMemory<byte> Next()
    {
        var row = ((side * 3) + 3) / 4 * 4; // rows are padded to 4 bytes
        var file = new byte[Header + (row * side)];
        _random.NextBytes(file.AsSpan(Header));
        "BM"u8.CopyTo(file);
        Write(2, file.Length);
        Write(10, Header);
        Write(14, 40); // BITMAPINFOHEADER
        Write(18, side);
        Write(22, side);
        BinaryPrimitives.WriteInt16LittleEndian(file.AsSpan(26), 1);
        BinaryPrimitives.WriteInt16LittleEndian(file.AsSpan(28), 24); // bits per pixel, uncompressed
        Write(34, row * side);
        return file;

        void Write(int offset, int value) => BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(offset), value);
    }
}
