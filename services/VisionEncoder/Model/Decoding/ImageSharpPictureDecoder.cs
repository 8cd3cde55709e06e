using SixLabors.ImageSharp;
using SixLabors.ImageSharp.Formats;
using SixLabors.ImageSharp.PixelFormats;

namespace Flamingo.VisionEncoder.Decoding;

/// <summary>SixLabors.ImageSharp, compiled in with -p:ImageDecoder=imagesharp. Its JPEG decoder may differ from Pillow's by a grey level.</summary>
public sealed class PictureDecoder : IPictureDecoder
{
    private static readonly DecoderOptions FirstFrame = new() { MaxFrames = 1, SkipMetadata = true };

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

    public DecodedPicture? Decode(ReadOnlyMemory<byte> file)
    {
        try
        {
            using var image = Image.Load<Rgba32>(FirstFrame, file.Span);
            var pixels = new byte[image.Width * image.Height * 4];
            image.CopyPixelDataTo(pixels);
            return new DecodedPicture(image.Width, image.Height, pixels);
        }
        catch (ImageFormatException)
        {
            return null;
        }
    }
}
