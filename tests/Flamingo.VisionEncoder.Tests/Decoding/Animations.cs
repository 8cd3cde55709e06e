using System.Buffers.Binary;
using SkiaSharp;

namespace Flamingo.VisionEncoder.Tests.Decoding;

/// <summary>A frame of a GIF, filled with one colour.</summary>
/// <param name="Left">Left edge on the canvas in pixels.</param>
/// <param name="Top">Top edge on the canvas in pixels.</param>
/// <param name="Width">Width in pixels.</param>
/// <param name="Height">Height in pixels.</param>
/// <param name="Color">Index of the colour in <see cref="Animations.Palette"/>.</param>
/// <param name="Disposal">
/// Disposal method of GIF, which is applied before the next frame: 1 keeps the frame, 2 clears its area to transparent, 3 restores the
/// previous canvas.
/// </param>
internal sealed record GifFrame(int Left, int Top, int Width, int Height, byte Color, int Disposal = 1);

/// <summary>Writes animations and still pictures with known pixels.</summary>
internal static class Animations
{
    public const byte Transparent = 0;

    /// <summary>Returns the colour with the given index.</summary>
    public static (byte Red, byte Green, byte Blue) Palette(int index) =>
        ((byte)(index * 53), (byte)(index * 97), (byte)(255 - (index * 31)));

    public static byte[] Gif(int width, int height, params IReadOnlyList<GifFrame> frames)
    {
        using var stream = new MemoryStream();
        stream.Write("GIF89a"u8);
        Write16(width, height);
        stream.Write([0xF6, 0, 0]); // The flags announce a table of 128 colours.
        for (var index = 0; index < 128; index++) stream.Write([Palette(index).Red, Palette(index).Green, Palette(index).Blue]);
        foreach (var frame in frames)
        {
            stream.Write([0x21, 0xF9, 4, (byte)((frame.Disposal << 2) | 1), 10, 0, Transparent, 0]);
            stream.WriteByte(0x2C);
            Write16(frame.Left, frame.Top, frame.Width, frame.Height);
            stream.Write([0, 7]);
            // All LZW codes have eight bits: a clear code (128) comes before the table of codes is so full that codes would grow.
            var codes = Enumerable.Repeat(frame.Color, frame.Width * frame.Height).Chunk(100).SelectMany(chunk => chunk.Prepend((byte)128))
                .Append((byte)129);
            foreach (var block in codes.Chunk(255)) stream.Write([(byte)block.Length, .. block]);
            stream.WriteByte(0);
        }

        stream.WriteByte(0x3B);
        return stream.ToArray();

        void Write16(params ReadOnlySpan<int> values)
        {
            foreach (var value in values) stream.Write([(byte)value, (byte)(value >> 8)]);
        }
    }

    /// <summary>Writes a lossless WebP animation of which every frame covers the canvas with one colour.</summary>
    public static byte[] WebP(int width, int height, params IReadOnlyList<byte> colors) =>
        WebP(width, height, [.. colors.Select(color => Still(width, height, color, SKEncodedImageFormat.Webp))]);

    /// <summary>Writes a WebP animation of which every frame covers the canvas.</summary>
    /// <param name="width">Width of the canvas in pixels.</param>
    /// <param name="height">Height of the canvas in pixels.</param>
    /// <param name="stills">One WebP file of the canvas's size per frame.</param>
    public static byte[] WebP(int width, int height, IReadOnlyList<byte[]> stills) =>
        WebP(width, height, [.. stills.Select(still => (0, 0, width, height, 2, still))]);

    /// <summary>Writes a WebP animation.</summary>
    /// <param name="width">Width of the canvas in pixels.</param>
    /// <param name="height">Height of the canvas in pixels.</param>
    /// <param name="frames">
    /// Position and size of each frame in pixels, WebP's flags (1: the area is cleared afterwards, 2: the frame replaces the canvas instead
    /// of being blended), and a WebP file with the pixels.
    /// </param>
    public static byte[] WebP(
        int width, int height, params IReadOnlyList<(int Left, int Top, int Width, int Height, int Flags, byte[] Still)> frames)
    {
        using var body = new MemoryStream();
        body.Write("WEBP"u8);
        Chunk(body, "VP8X"u8, [0x02, 0, 0, 0, .. Int24(width - 1), .. Int24(height - 1)]);
        Chunk(body, "ANIM"u8, [0, 0, 0, 0, 0, 0]);
        foreach (var frame in frames)
        {
            byte[] place = [.. Int24(frame.Left / 2), .. Int24(frame.Top / 2), .. Int24(frame.Width - 1), .. Int24(frame.Height - 1)];
            var chunks = frame.Still[(frame.Still.AsSpan(12).StartsWith("VP8X"u8) ? 30 : 12)..];
            Chunk(body, "ANMF"u8, [.. place, .. Int24(100), (byte)frame.Flags, .. chunks]);
        }

        using var file = new MemoryStream();
        Chunk(file, "RIFF"u8, body.ToArray());
        return file.ToArray();
    }

    /// <summary>Writes a lossless picture of one colour.</summary>
    public static byte[] Still(int width, int height, int color, SKEncodedImageFormat format = SKEncodedImageFormat.Png) =>
        Drawn(width, height, (_, _) => color, format);

    /// <summary>Writes a lossless picture with a colour for each position.</summary>
    public static byte[] Drawn(
        int width, int height, Func<int, int, int> color, SKEncodedImageFormat format = SKEncodedImageFormat.Png, byte alpha = 255)
    {
        var kind = alpha == 255 ? SKAlphaType.Opaque : SKAlphaType.Unpremul;
        using var bitmap = new SKBitmap(new SKImageInfo(width, height, SKColorType.Rgba8888, kind));
        for (var pixel = 0; pixel < width * height; pixel++)
        {
            var (red, green, blue) = Palette(color(pixel % width, pixel / width));
            bitmap.SetPixel(pixel % width, pixel / width, new SKColor(red, green, blue, alpha));
        }

        using var pixels = bitmap.PeekPixels();
        using var data = format == SKEncodedImageFormat.Webp
            ? pixels!.Encode(new SKWebpEncoderOptions(SKWebpEncoderCompression.Lossless, 50)) : pixels.Encode(format, 100);
        return data!.ToArray();
    }

    private static byte[] Int24(int value) => [(byte)value, (byte)(value >> 8), (byte)(value >> 16)];

    private static void Chunk(MemoryStream stream, ReadOnlySpan<byte> kind, byte[] data)
    {
        var length = new byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(length, data.Length);
        stream.Write(kind);
        stream.Write(length);
        stream.Write(data);
        if (data.Length % 2 == 1) stream.WriteByte(0);
    }
}
