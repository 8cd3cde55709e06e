using System.Buffers.Binary;
using System.Runtime.InteropServices;
using SkiaSharp;

namespace Flamingo.VisionEncoder.Decoding;

/// <summary>
/// Decodes with SkiaSharp. Its unpremultiplied RGBA without the alpha channel is bit-identical to the result of Pillow's convert("RGB").
/// </summary>
public sealed class SkiaPictureDecoder : IPictureDecoder
{
    private const int None = -1;

    private const ushort OrientationTag = 0x0112;

    public string Name => "skia";

    public (int Width, int Height)? ReadSize(ReadOnlyMemory<byte> file)
    {
        using var codec = Open(file);
        return codec is null ? null : (codec.Info.Width, codec.Info.Height);
    }

    public int CountFrames(ReadOnlyMemory<byte> file)
    {
        using var codec = Open(file);
        return Math.Max(1, codec?.FrameCount ?? 1);
    }

    public DecodedPicture? Decode(ReadOnlyMemory<byte> file)
    {
        using var codec = Open(file);
        if (codec is null) return null;
        var (info, canvas) = Canvas(codec);
        return codec.GetPixels(info, Address(canvas)) == SKCodecResult.Success
            ? new DecodedPicture(info.Width, info.Height, canvas) { Orientation = Orientation(codec, file.Span) }
            : null;
    }

    public IEnumerable<DecodedPicture?> DecodeFrames(ReadOnlyMemory<byte> file, IReadOnlyList<int> frames)
    {
        using var codec = Open(file);
        var infos = codec?.FrameInfo ?? [];
        if (codec is null || frames.Any(frame => frame >= infos.Length))
        {
            yield return null;
            yield break;
        }

        // The canvas holds frame `held`. Skia could decode the frames that a frame depends on itself, but it would decode all of them again
        // for every frame, and recursively: a long animation would overflow the stack and end the process.
        var ((info, canvas), held, orientation) = (Canvas(codec), None, Orientation(codec, file.Span));
        foreach (var frame in frames)
        {
            var missing = new Stack<int>();
            for (var next = frame; next != None; next = infos[next].RequiredFrame)
            {
                missing.Push(next);
                // The canvas may hold the required frame or any frame between it and this one.
                if (infos[next].RequiredFrame <= held && held < next) break;
            }

            byte[]? before = null;
            var heldBefore = held;
            foreach (var next in missing)
            {
                // A frame with this disposal method is removed after it was shown, so the previous canvas is kept for the next frame.
                if (next == frame && infos[next].DisposalMethod == SKCodecAnimationDisposalMethod.RestorePrevious)
                    (before, heldBefore) = ([.. canvas], held);
                if (codec.GetPixels(info, Address(canvas), new SKCodecOptions(next, held)) != SKCodecResult.Success)
                {
                    yield return null;
                    yield break;
                }

                held = next;
            }

            yield return new DecodedPicture(info.Width, info.Height, canvas) { Orientation = orientation };
            if (before is null) continue;
            before.CopyTo(canvas, 0);
            held = heldBefore;
        }
    }

    private static (SKImageInfo Info, byte[] Pixels) Canvas(SKCodec codec)
    {
        var info = new SKImageInfo(codec.Info.Width, codec.Info.Height, SKColorType.Rgba8888, SKAlphaType.Unpremul);
        return (info, GC.AllocateUninitializedArray<byte>(info.BytesSize, pinned: true));
    }

    private static IntPtr Address(byte[] pinned) => Marshal.UnsafeAddrOfPinnedArrayElement(pinned, 0);

    private static SKCodec? Open(ReadOnlyMemory<byte> file)
    {
        // The data is copied, because Skia may read it later, when the caller's memory is no longer pinned.
        using var data = SKData.CreateCopy(file.Span);
        var codec = SKCodec.Create(data);
        if (codec?.EncodedFormat is SKEncodedImageFormat.Jpeg or SKEncodedImageFormat.Png or SKEncodedImageFormat.Webp
            or SKEncodedImageFormat.Gif or SKEncodedImageFormat.Bmp) return codec;
        codec?.Dispose(); // Skia also reads ICO and WBMP, which this service does not support.
        return null;
    }

    // Skia uses the numbers of EXIF. It reads the EXIF data of JPEG and WebP, but not that of PNG.
    private static int Orientation(SKCodec codec, ReadOnlySpan<byte> file) =>
        codec.EncodedFormat == SKEncodedImageFormat.Png ? PngOrientation(file) : (int)codec.EncodedOrigin;

    // The EXIF data of a PNG is the content of its chunk eXIf. A chunk has length, kind, content and checksum.
    private static int PngOrientation(ReadOnlySpan<byte> file)
    {
        for (var rest = file[8..]; rest.Length >= 12;)
        {
            var length = BinaryPrimitives.ReadUInt32BigEndian(rest);
            if (length > rest.Length - 12) break;
            if (rest[4..8].SequenceEqual("eXIf"u8)) return ExifOrientation(rest.Slice(8, (int)length));
            rest = rest[(12 + (int)length)..];
        }

        return 1;
    }

    // EXIF data is a TIFF file: the byte order, the number 42 and the offset of the first directory. A directory is a count and entries of
    // 12 bytes.
    private static int ExifOrientation(ReadOnlySpan<byte> tiff)
    {
        var littleEndian = tiff.StartsWith("II"u8);
        if (tiff.Length < 8 || (!littleEndian && !tiff.StartsWith("MM"u8))) return 1;
        ushort Read16(ReadOnlySpan<byte> at) =>
            littleEndian ? BinaryPrimitives.ReadUInt16LittleEndian(at) : BinaryPrimitives.ReadUInt16BigEndian(at);
        var first = littleEndian ? BinaryPrimitives.ReadUInt32LittleEndian(tiff[4..]) : BinaryPrimitives.ReadUInt32BigEndian(tiff[4..]);
        if (first > tiff.Length - 2) return 1;
        var entries = tiff[((int)first + 2)..];
        for (var count = Read16(tiff[(int)first..]); count > 0 && entries.Length >= 12; count--, entries = entries[12..])
            if (Read16(entries) == OrientationTag) return Read16(entries[8..]) is var value and >= 1 and <= 8 ? value : 1;
        return 1;
    }
}
