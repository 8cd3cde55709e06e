namespace Flamingo.VisionEncoder.Decoding;

/// <summary>A decoded picture as it lies in its file: unpremultiplied RGBA, row-major, 4 bytes a pixel.</summary>
public sealed record DecodedPicture(int Width, int Height, byte[] Rgba)
{
    /// <summary>
    /// EXIF's number (1 to 8) of how the pixels lie; 1 where the file has none or a wrong one. The first row and the first
    /// column of the pixels are, in the picture as people see it:
    /// <code>
    /// 1 top, left       2 top, right       3 bottom, right    4 bottom, left
    /// 5 left, top       6 right, top       7 right, bottom    8 left, bottom
    /// </code>
    /// </summary>
    public int Orientation { get; init; } = 1;
}

/// <summary>
/// Turns an encoded file into pixels: JPEG, PNG, WebP, GIF or BMP, and nothing else, whatever the library beneath could read.
/// One implementation is compiled in: see ImageDecoder in the README.
/// </summary>
public interface IPictureDecoder
{
    /// <summary>The implementation that is compiled in. It has no state.</summary>
    static IPictureDecoder Compiled { get; } = new CompiledDecoder();

    /// <summary>Enters latent keys: decoders may differ by a grey level.</summary>
    string Name { get; }

    /// <summary>
    /// Size by the file's header alone, as the pixels lie in the file; nothing is decoded. Null for a format that is not read.
    /// </summary>
    (int Width, int Height)? ReadSize(ReadOnlyMemory<byte> file);

    /// <summary>Frames of an animated GIF or WebP, nothing decoded; 1 of anything else.</summary>
    int CountFrames(ReadOnlyMemory<byte> file);

    /// <summary>The first frame, as it lies in the file. The orientation is told, not applied.</summary>
    /// <returns>Null if the file is truncated or damaged.</returns>
    DecodedPicture? Decode(ReadOnlyMemory<byte> file);

    /// <summary>Frames of an animation as they are shown, each on the whole canvas, and all with the file's orientation.</summary>
    /// <param name="frames">Indices, ascending.</param>
    /// <returns>One after another, each valid until the next is asked for; null if it is truncated or damaged, and then no more.</returns>
    IEnumerable<DecodedPicture?> DecodeFrames(ReadOnlyMemory<byte> file, IReadOnlyList<int> frames);
}
