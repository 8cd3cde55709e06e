using System.Buffers.Binary;
using System.Text;
using SixLabors.ImageSharp;
using SixLabors.ImageSharp.Metadata.Profiles.Exif;
using SixLabors.ImageSharp.PixelFormats;

namespace Flamingo.VisionEncoder.Decoding;

/// <summary>
/// Decodes animated WebP, which ImageSharp 2.1 cannot. Each frame of an animation is a still WebP picture with a position on the canvas;
/// this class reads the container, and ImageSharp decodes the pictures. The container is specified at
/// https://developers.google.com/speed/webp/docs/riff_container.
/// </summary>
internal sealed class WebPAnimation
{
    private const int AnimationFlag = 0x02, AlphaFlag = 0x10; // These flags are in the chunk VP8X.
    private const int DisposeFlag = 0x01, ReplaceFlag = 0x02; // These flags are in the chunks ANMF.
    private const int FrameHead = 16;

    private readonly ReadOnlyMemory<byte> _file;
    private readonly List<Chunk> _frames = [];

    private WebPAnimation(ReadOnlyMemory<byte> file, ReadOnlySpan<byte> header) =>
        (_file, Width, Height) = (file, Read24(header[4..]) + 1, Read24(header[7..]) + 1);

    private readonly record struct Chunk(string Kind, int Start, long Length)
    {
        public long End => Start + Length;
    }

    /// <summary>Width of the canvas in pixels.</summary>
    public int Width { get; }

    /// <summary>Height of the canvas in pixels.</summary>
    public int Height { get; }

    /// <summary>EXIF orientation, 1 to 8.</summary>
    public int Orientation { get; private set; } = 1;

    /// <summary>Number of frames that begin in the file.</summary>
    public int Frames => _frames.Count;

    /// <summary>Reads the container of an animated WebP.</summary>
    /// <returns>Null if the file is not an animated WebP.</returns>
    public static WebPAnimation? Of(ReadOnlyMemory<byte> file)
    {
        var chunks = Chunks(file, 12, file.Length);
        if (!file.Span.StartsWith("RIFF"u8)) return null;
        if (chunks.FirstOrDefault() is not { Kind: "VP8X", Length: >= 10 } header || header.End > file.Length) return null;
        var content = file.Span[header.Start..];
        if ((content[0] & AnimationFlag) == 0) return null;
        var animation = new WebPAnimation(file, content);
        foreach (var chunk in chunks)
        {
            if (chunk.Kind == "ANMF") animation._frames.Add(chunk);
            if (chunk.Kind != "EXIF" || chunk.End > file.Length) continue;
            var exif = new ExifProfile(file.Slice(chunk.Start, (int)chunk.Length).ToArray());
            animation.Orientation = ImageSharpPictureDecoder.OrientationOf(exif);
        }

        return animation;
    }

    /// <summary>Returns whether a still WebP file is complete.</summary>
    public static bool IsWholeStill(ReadOnlyMemory<byte> file) =>
        Chunks(file, 12, file.Length).Any(chunk => chunk.Kind is "VP8 " or "VP8L" && chunk.End <= file.Length);

    /// <summary>
    /// Returns the canvas after each requested frame as RGBA. All results are the same array, so a result is valid until the next one is
    /// requested. A null means that a frame is damaged or missing, and ends the sequence.
    /// </summary>
    /// <param name="wanted">Indices of the frames, counted from 0, in ascending order.</param>
    public IEnumerable<byte[]?> Shown(IReadOnlyList<int> wanted)
    {
        var canvas = new byte[Width * Height * 4];
        Action dispose = () => { };
        for (var (frame, next) = (0, 0); next < wanted.Count; frame++)
        {
            dispose();
            if (frame >= _frames.Count || Draw(_frames[frame], canvas) is not { } disposal)
            {
                yield return null;
                yield break;
            }

            dispose = disposal;
            if (frame != wanted[next]) continue;
            yield return canvas;
            next++;
        }
    }

    /// <returns>An action that must run before the next frame is drawn; null if the frame is damaged.</returns>
    private Action? Draw(Chunk chunk, byte[] canvas)
    {
        if (chunk.End > _file.Length || chunk.Length < FrameHead) return null;
        var head = _file.Span.Slice(chunk.Start, FrameHead);
        var (left, top, width, height) = (2 * Read24(head), 2 * Read24(head[3..]), Read24(head[6..]) + 1, Read24(head[9..]) + 1);
        var flags = head[15];
        if (left + width > Width || top + height > Height) return null;
        using var image = Still(chunk, width, height);
        if (image is null) return null;
        var pixels = new byte[width * height * 4];
        image.CopyPixelDataTo(pixels);
        for (var row = 0; row < height; row++)
        {
            var from = pixels.AsSpan(row * width * 4, width * 4);
            var to = canvas.AsSpan(Row(row), width * 4);
            if ((flags & ReplaceFlag) != 0) from.CopyTo(to);
            else Blend(from, to);
        }

        return () =>
        {
            if ((flags & DisposeFlag) == 0) return;
            for (var row = 0; row < height; row++) canvas.AsSpan(Row(row), width * 4).Clear();
        };

        int Row(int row) => (((top + row) * Width) + left) * 4;
    }

    // Decodes a frame by making a WebP file of its chunks. The file needs the extended header if a separate chunk holds the alpha channel.
    private Image<Rgba32>? Still(Chunk frame, int width, int height)
    {
        var (start, end) = (frame.Start + FrameHead, (int)frame.End);
        var hasAlpha = Chunks(_file, start, end).Any(chunk => chunk.Kind == "ALPH");
        byte[] header = hasAlpha ? [.. "VP8X"u8, 10, 0, 0, 0, AlphaFlag, 0, 0, 0, .. Write24(width - 1), .. Write24(height - 1)] : [];
        byte[] body = [.. "WEBP"u8, .. header, .. _file.Span[start..end]];
        byte[] file = [.. "RIFF"u8, .. BitConverter.GetBytes(body.Length), .. body];
        // The header of the still picture may claim another size than the frame has on the canvas.
        return ImageSharpPictureDecoder.Identify(file) == (width, height) ? ImageSharpPictureDecoder.Load(file, 1) : null;
    }

    // Both sides have unpremultiplied colours.
    private static void Blend(ReadOnlySpan<byte> from, Span<byte> to)
    {
        for (var pixel = 0; pixel < to.Length; pixel += 4)
        {
            float above = from[pixel + 3], below = to[pixel + 3] * (255 - above) / 255, alpha = above + below;
            if (alpha == 0) continue;
            for (var channel = 0; channel < 3; channel++)
                to[pixel + channel] = (byte)MathF.Round(((from[pixel + channel] * above) + (to[pixel + channel] * below)) / alpha);
            to[pixel + 3] = (byte)MathF.Round(alpha);
        }
    }

    // A chunk is its kind, its length and its content, padded to an even length. The last chunk may extend beyond the end of the file.
    private static IEnumerable<Chunk> Chunks(ReadOnlyMemory<byte> file, long at, int end)
    {
        while (at + 8 <= end)
        {
            var head = file.Span.Slice((int)at, 8);
            var chunk = new Chunk(Encoding.Latin1.GetString(head[..4]), (int)at + 8, BinaryPrimitives.ReadUInt32LittleEndian(head[4..]));
            yield return chunk;
            at = chunk.End + (chunk.Length & 1);
        }
    }

    private static int Read24(ReadOnlySpan<byte> bytes) => bytes[0] | (bytes[1] << 8) | (bytes[2] << 16);

    private static byte[] Write24(int value) => [(byte)value, (byte)(value >> 8), (byte)(value >> 16)];
}
