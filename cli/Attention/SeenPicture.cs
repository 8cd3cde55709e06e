using Flamingo.Abstractions;
using Flamingo.VisionEncoder.Decoding;
using Flamingo.VisionEncoder.Preprocessing;
using SkiaSharp;

namespace Flamingo.Cli.Attention;

/// <summary>A picture as a model sees it before it is scaled: turned as the model's preprocessing turns it, and opaque.</summary>
internal static class SeenPicture
{
    /// <returns>The whole picture, which the caller disposes; null if the file is damaged or of no supported format.</returns>
    public static SKImage? Whole(ReadOnlyMemory<byte> file, VisionEncoderDescription vision)
    {
        if (IPictureDecoder.Compiled.Decode(file) is not { } picture) return null;
        var (width, height) = PicturePreprocessor.UprightSize(picture, vision.Orientation);
        var (size, planes) = (width * height, new byte[3 * width * height]);
        PicturePreprocessor.WritePlanes(picture, vision.Orientation, vision.Alpha, planes);
        var pixels = new byte[4 * size];
        for (var place = 0; place < size; place++)
        {
            for (var channel = 0; channel < 3; channel++) pixels[(4 * place) + channel] = planes[(channel * size) + place];
            pixels[(4 * place) + 3] = byte.MaxValue;
        }

        return SKImage.FromPixelCopy(new SKImageInfo(width, height, SKColorType.Rgba8888, SKAlphaType.Opaque), pixels);
    }
}
