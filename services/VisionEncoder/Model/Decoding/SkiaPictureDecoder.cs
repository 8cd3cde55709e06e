using System.Runtime.InteropServices;
using SkiaSharp;

namespace Flamingo.VisionEncoder.Decoding;

/// <summary>SkiaSharp. Unpremultiplied RGBA with alpha dropped is bit-identical to Pillow's convert("RGB").</summary>
public sealed class PictureDecoder : IPictureDecoder
{
    private const int None = -1;

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
        return codec.GetPixels(info, Address(canvas)) == SKCodecResult.Success ? new DecodedPicture(info.Width, info.Height, canvas) : null;
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

        // The canvas holds frame `held`. Skia would decode what a frame stands on by itself, but all of it again for
        // every frame, and recursively: a long animation would end the process.
        var ((info, canvas), held) = (Canvas(codec), None);
        foreach (var frame in frames)
        {
            var missing = new Stack<int>();
            for (var next = frame; next != None; next = infos[next].RequiredFrame)
            {
                missing.Push(next);
                if (infos[next].RequiredFrame <= held && held < next) break; // any frame from the required one on will do
            }

            byte[]? before = null;
            var heldBefore = held;
            foreach (var next in missing)
            {
                // a frame that is taken back after it was shown leaves the canvas as it was
                if (next == frame && infos[next].DisposalMethod == SKCodecAnimationDisposalMethod.RestorePrevious) (before, heldBefore) = ([.. canvas], held);
                if (codec.GetPixels(info, Address(canvas), new SKCodecOptions(next, held)) != SKCodecResult.Success)
                {
                    yield return null;
                    yield break;
                }

                held = next;
            }

            yield return new DecodedPicture(info.Width, info.Height, canvas);
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
        // the data is copied: Skia may read it lazily, and a caller's memory need not be pinned that long
        using var data = SKData.CreateCopy(file.Span);
        return SKCodec.Create(data);
    }
}
