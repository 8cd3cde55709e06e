using System.Runtime.InteropServices;
using SixLabors.ImageSharp;
using SixLabors.ImageSharp.Formats;
using SixLabors.ImageSharp.Formats.Bmp;
using SixLabors.ImageSharp.Formats.Gif;
using SixLabors.ImageSharp.Formats.Jpeg;
using SixLabors.ImageSharp.Formats.Png;
using SixLabors.ImageSharp.Formats.Webp;
using SixLabors.ImageSharp.Metadata.Profiles.Exif;
using SixLabors.ImageSharp.PixelFormats;

namespace Flamingo.VisionEncoder.Decoding;

/// <summary>
/// SixLabors.ImageSharp 2.1, compiled in with -p:ImageDecoder=imagesharp. It equals Pillow but for JPEG with subsampled
/// colour, whose planes it enlarges without smoothing. It fills up what a truncated file lacks and counts no frames
/// without decoding them: <see cref="FileExtent"/> does both. It knows no animated WebP: <see cref="WebPAnimation"/> does.
/// A GIF's frames up to the last one that is wanted are in memory at once: <c>VisionEncoder:MaxClipPixels</c> bounds them.
/// </summary>
public sealed class ImageSharpPictureDecoder : IPictureDecoder
{
    private static readonly SixLabors.ImageSharp.Configuration Formats = new(
        new JpegConfigurationModule(), new PngConfigurationModule(), new WebpConfigurationModule(), new GifConfigurationModule(),
        new BmpConfigurationModule());

    public string Name => "imagesharp";

    public (int Width, int Height)? ReadSize(ReadOnlyMemory<byte> file) =>
        WebPAnimation.Of(file) is { } animation ? (animation.Width, animation.Height) : Identify(file);

    public int CountFrames(ReadOnlyMemory<byte> file) =>
        WebPAnimation.Of(file) is { } animation ? Math.Max(1, animation.Frames) : FileExtent.Of(file).Frames;

    public DecodedPicture? Decode(ReadOnlyMemory<byte> file) => DecodeFrames(file, [0]).First();

    public IEnumerable<DecodedPicture?> DecodeFrames(ReadOnlyMemory<byte> file, IReadOnlyList<int> frames)
    {
        if (WebPAnimation.Of(file) is { } animation)
        {
            var (width, height, orientation) = (animation.Width, animation.Height, animation.Orientation);
            foreach (var canvas in animation.Shown(frames))
                yield return canvas is null ? null : new DecodedPicture(width, height, canvas) { Orientation = orientation };
            yield break;
        }

        var whole = FileExtent.Of(file).WholeFrames;
        using var image = frames[0] < whole ? Load(file, Math.Min(whole, frames[^1] + 1)) : null;
        var pixels = image is null ? [] : new byte[image.Width * image.Height * 4];
        foreach (var frame in frames)
        {
            if (image is null || frame >= Math.Min(whole, image.Frames.Count))
            {
                yield return null;
                yield break;
            }

            image.Frames[frame].CopyPixelDataTo(pixels);
            yield return new DecodedPicture(image.Width, image.Height, pixels) { Orientation = OrientationOf(image.Metadata.ExifProfile) };
        }
    }

    /// <summary>Size of a still, or of a GIF; null for what cannot be read.</summary>
    internal static (int Width, int Height)? Identify(ReadOnlyMemory<byte> file) =>
        Try(() => Image.Identify(Formats, Stream(file))) is { } info ? (info.Width, info.Height) : null;

    /// <param name="frames">Most frames that are decoded.</param>
    /// <returns>Null for what cannot be read.</returns>
    internal static Image<Rgba32>? Load(ReadOnlyMemory<byte> file, int frames) => Try(() => file.Span.StartsWith("GIF"u8)
        ? Image.Load<Rgba32>(Formats, file.Span, new GifDecoder { MaxFrames = (uint)frames })
        : Image.Load<Rgba32>(Formats, file.Span));

    /// <returns>1 where there is none, or a wrong one.</returns>
    internal static int OrientationOf(ExifProfile? exif) =>
        Try(() => exif?.GetValue(ExifTag.Orientation)) is { Value: >= 1 and <= 8 } orientation ? orientation.Value : 1;

    private static MemoryStream Stream(ReadOnlyMemory<byte> file) => MemoryMarshal.TryGetArray(file, out var array)
        ? new MemoryStream(array.Array!, array.Offset, array.Count, writable: false)
        : new MemoryStream(file.ToArray(), writable: false);

    // Damaged files end in all sorts of exceptions there, not only in the library's own.
    private static T? Try<T>(Func<T?> read) where T : class
    {
        try
        {
            return read();
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            return null;
        }
    }
}
