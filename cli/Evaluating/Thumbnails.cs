using Flamingo.Abstractions;
using Flamingo.Cli.Attention;
using Flamingo.VisionEncoder.Decoding;
using SkiaSharp;

namespace Flamingo.Cli.Evaluating;

/// <summary>
/// Small pictures for a report, turned as the model saw them. Many threads may ask at once; each holds one whole picture in memory.
/// </summary>
public sealed class Thumbnails(VisionEncoderDescription vision)
{
    /// <summary>The longer side at most, in pixels.</summary>
    public const int Side = 160;

    private const int JpegQuality = 82;

    /// <summary>Makes a PNG or a JPEG, whichever is smaller. A picture is never enlarged.</summary>
    /// <returns>Null if the file is damaged, of no supported format, or larger than the model takes.</returns>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">The file may not be read.</exception>
    public byte[]? Make(string path)
    {
        var file = File.ReadAllBytes(path);
        if (IPictureDecoder.Compiled.ReadSize(file) is not { } size || (long)size.Width * size.Height > vision.MaxPixels) return null;
        using var whole = SeenPicture.Whole(file, vision);
        if (whole is null) return null;
        var scale = Math.Min(1, (float)Side / Math.Max(whole.Width, whole.Height));
        using var small = new SKBitmap(new SKImageInfo(Scaled(whole.Width), Scaled(whole.Height), SKColorType.Rgba8888, SKAlphaType.Opaque));
        using var pixels = small.PeekPixels();
        if (!whole.ScalePixels(pixels, new SKSamplingOptions(SKFilterMode.Linear, SKMipmapMode.Linear))) return null;
        using var png = small.Encode(SKEncodedImageFormat.Png, 100);
        using var jpeg = small.Encode(SKEncodedImageFormat.Jpeg, JpegQuality);
        return (png.Size < jpeg.Size ? png : jpeg).ToArray();

        int Scaled(int side) => Math.Max(1, (int)MathF.Round(side * scale));
    }
}
