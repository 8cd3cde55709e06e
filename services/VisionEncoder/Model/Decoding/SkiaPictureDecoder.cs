using System.Runtime.InteropServices;
using SkiaSharp;

namespace Flamingo.VisionEncoder.Decoding;

/// <summary>SkiaSharp. Unpremultiplied RGBA with alpha dropped is bit-identical to Pillow's convert("RGB").</summary>
public sealed class PictureDecoder : IPictureDecoder
{
    public (int Width, int Height)? ReadSize(ReadOnlyMemory<byte> file)
    {
        using var codec = Open(file);
        return codec is null ? null : (codec.Info.Width, codec.Info.Height);
    }

    public DecodedPicture? Decode(ReadOnlyMemory<byte> file)
    {
        using var codec = Open(file);
        if (codec is null) return null;
        var info = new SKImageInfo(codec.Info.Width, codec.Info.Height, SKColorType.Rgba8888, SKAlphaType.Unpremul);
        var pixels = GC.AllocateUninitializedArray<byte>(info.BytesSize, pinned: true);
        var result = codec.GetPixels(info, Marshal.UnsafeAddrOfPinnedArrayElement(pixels, 0));
        return result == SKCodecResult.Success ? new DecodedPicture(info.Width, info.Height, pixels) : null;
    }

    private static SKCodec? Open(ReadOnlyMemory<byte> file)
    {
        // the data is copied: Skia may read it lazily, and a caller's memory need not be pinned that long
        using var data = SKData.CreateCopy(file.Span);
        return SKCodec.Create(data);
    }
}
