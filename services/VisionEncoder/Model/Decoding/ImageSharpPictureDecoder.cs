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
/// Decodes with SixLabors.ImageSharp 2.1; compiled in with -p:ImageDecoder=imagesharp. Its pixels equal those of Pillow, except for JPEG
/// with subsampled colour, whose colour planes ImageSharp enlarges without smoothing. ImageSharp accepts truncated files and cannot count
/// frames without decoding them, so <see cref="FileExtent"/> checks files and counts frames. ImageSharp 2.1 does not read animated WebP,
/// so <see cref="WebPAnimation"/> does. All frames of a GIF up to the last requested frame are in memory at once;
/// <c>VisionEncoder:MaxClipPixels</c> bounds them.
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

    /// <summary>Reads the size of a still picture or of a GIF. Null means that the file cannot be read.</summary>
    internal static (int Width, int Height)? Identify(ReadOnlyMemory<byte> file) =>
        Try(() => Image.Identify(Formats, Stream(file))) is { } info ? (info.Width, info.Height) : null;

    /// <summary>Decodes a still picture, or frames of a GIF.</summary>
    /// <param name="file">The encoded file.</param>
    /// <param name="frames">Most frames to decode.</param>
    /// <returns>Null if the file cannot be read.</returns>
    internal static Image<Rgba32>? Load(ReadOnlyMemory<byte> file, int frames) => Try(() => file.Span.StartsWith("GIF"u8)
        ? Image.Load<Rgba32>(Formats, file.Span, new GifDecoder { MaxFrames = (uint)frames })
        : Image.Load<Rgba32>(Formats, file.Span));

    /// <returns>The EXIF orientation; 1 if there is none or if it is invalid.</returns>
    internal static int OrientationOf(ExifProfile? exif) =>
        Try(() => exif?.GetValue(ExifTag.Orientation)) is { Value: >= 1 and <= 8 } orientation ? orientation.Value : 1;

    private static MemoryStream Stream(ReadOnlyMemory<byte> file) => MemoryMarshal.TryGetArray(file, out var array)
        ? new MemoryStream(array.Array!, array.Offset, array.Count, writable: false)
        : new MemoryStream(file.ToArray(), writable: false);

    // For damaged files ImageSharp throws many types of exceptions, not only its own.
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
