using System.Buffers.Binary;
using System.Text;
using SixLabors.ImageSharp;
using SixLabors.ImageSharp.Metadata.Profiles.Exif;
using SixLabors.ImageSharp.PixelFormats;

namespace Flamingo.VisionEncoder.Decoding;

/// <summary>
/// An animated WebP, whose frames are WebP pictures of their own, which ImageSharp 2.1 decodes, each with a place on the
/// canvas. The container's specification: https://developers.google.com/speed/webp/docs/riff_container.
/// </summary>
internal sealed class WebPAnimation
{
    private const int AnimationFlag = 0x02, AlphaFlag = 0x10; // of VP8X
    private const int DisposeFlag = 0x01, ReplaceFlag = 0x02; // of ANMF
    private const int FrameHead = 16;

    private readonly ReadOnlyMemory<byte> _file;
    private readonly List<Chunk> _frames = [];

    private WebPAnimation(ReadOnlyMemory<byte> file, ReadOnlySpan<byte> header) =>
        (_file, Width, Height) = (file, Read24(header[4..]) + 1, Read24(header[7..]) + 1);

    private readonly record struct Chunk(string Kind, int Start, long Length)
    {
        public long End => Start + Length;
    }

    public int Width { get; }

    public int Height { get; }

    /// <summary>EXIF's number.</summary>
    public int Orientation { get; private set; } = 1;

    /// <summary>Frames that begin in the file.</summary>
    public int Frames => _frames.Count;

    /// <returns>Null for anything else.</returns>
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

    /// <summary>Whether a still WebP ends in the file.</summary>
    public static bool IsWholeStill(ReadOnlyMemory<byte> file) =>
        Chunks(file, 12, file.Length).Any(chunk => chunk.Kind is "VP8 " or "VP8L" && chunk.End <= file.Length);

    /// <summary>The canvas after each of the frames that are wanted; null, and then no more, where one is damaged or missing.</summary>
    /// <param name="wanted">Indices, ascending.</param>
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

    // returns what is to be done before the next frame is drawn
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

    // the frame's chunks as a file of their own, which needs the extended header where alpha stands in a chunk beside the colours
    private Image<Rgba32>? Still(Chunk frame, int width, int height)
    {
        var (start, end) = (frame.Start + FrameHead, (int)frame.End);
        var hasAlpha = Chunks(_file, start, end).Any(chunk => chunk.Kind == "ALPH");
        byte[] header = hasAlpha ? [.. "VP8X"u8, 10, 0, 0, 0, AlphaFlag, 0, 0, 0, .. Write24(width - 1), .. Write24(height - 1)] : [];
        byte[] body = [.. "WEBP"u8, .. header, .. _file.Span[start..end]];
        byte[] file = [.. "RIFF"u8, .. BitConverter.GetBytes(body.Length), .. body];
        // the picture's own header may claim any size
        return ImageSharpPictureDecoder.Identify(file) == (width, height) ? ImageSharpPictureDecoder.Load(file, 1) : null;
    }

    // unpremultiplied colours over unpremultiplied ones
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

    // chunks of kind, length and content, padded to an even length; the last may end behind the file
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
