using SixLabors.ImageSharp;
using SixLabors.ImageSharp.Formats;
using SixLabors.ImageSharp.PixelFormats;

namespace Flamingo.VisionEncoder.Decoding;

/// <summary>SixLabors.ImageSharp, compiled in with -p:ImageDecoder=imagesharp. Its JPEG decoder may differ from Pillow's by a grey level.</summary>
public sealed class PictureDecoder : IPictureDecoder
{
    private static readonly DecoderOptions FirstFrame = new() { MaxFrames = 1, SkipMetadata = true };

    public string Name => "imagesharp";

    public (int Width, int Height)? ReadSize(ReadOnlyMemory<byte> file)
    {
        try
        {
            var info = Image.Identify(FirstFrame, file.Span);
            return (info.Width, info.Height);
        }
        catch (ImageFormatException)
        {
            return null;
        }
    }

    public int CountFrames(ReadOnlyMemory<byte> file)
    {
        try
        {
            return Math.Max(1, Image.Identify(file.Span).FrameMetadataCollection.Count);
        }
        catch (ImageFormatException)
        {
            return 1; // decoding will tell what is wrong
        }
    }

    public DecodedPicture? Decode(ReadOnlyMemory<byte> file) => DecodeFrames(file, [0]).First();

    public IEnumerable<DecodedPicture?> DecodeFrames(ReadOnlyMemory<byte> file, IReadOnlyList<int> frames)
    {
        using var image = Load(file, frames[^1] + 1);
        if (image is null || frames[^1] >= image.Frames.Count)
        {
            yield return null;
            yield break;
        }

        var pixels = new byte[image.Width * image.Height * 4];
        foreach (var frame in frames)
        {
            image.Frames[frame].CopyPixelDataTo(pixels);
            yield return new DecodedPicture(image.Width, image.Height, pixels);
        }
    }

    private static Image<Rgba32>? Load(ReadOnlyMemory<byte> file, int frames)
    {
        try
        {
            return Image.Load<Rgba32>(frames == 1 ? FirstFrame : new DecoderOptions { MaxFrames = (uint)frames }, file.Span);
        }
        catch (ImageFormatException)
        {
            return null;
        }
    }
}
