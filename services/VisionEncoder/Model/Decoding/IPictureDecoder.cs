namespace Flamingo.VisionEncoder.Decoding;

/// <summary>A decoded picture with the pixels in the order of its file; the orientation is not applied.</summary>
/// <param name="Width">Pixels per row.</param>
/// <param name="Height">Number of rows.</param>
/// <param name="Rgba">Unpremultiplied RGBA, row-major, 4 bytes per pixel.</param>
public sealed record DecodedPicture(int Width, int Height, byte[] Rgba)
{
    /// <summary>
    /// EXIF orientation, 1 to 8; 1 if the file has none or an invalid one. For each value, the table gives the sides of the upright
    /// picture where the first row and the first column of the pixels belong:
    /// <code>
    /// 1 top, left       2 top, right       3 bottom, right    4 bottom, left
    /// 5 left, top       6 right, top       7 right, bottom    8 left, bottom
    /// </code>
    /// </summary>
    public int Orientation { get; init; } = 1;
}

/// <summary>
/// Decodes JPEG, PNG, WebP, GIF and BMP files. An implementation refuses all other formats, even if its library could read them. The
/// MSBuild property ImageDecoder selects the implementation that is compiled in.
/// </summary>
public interface IPictureDecoder
{
    /// <summary>The implementation that is compiled in. It has no state.</summary>
    static IPictureDecoder Compiled { get; } = new CompiledDecoder();

    /// <summary>Name of the decoder. It is part of latent keys, because decoders may differ by a grey level.</summary>
    string Name { get; }

    /// <summary>
    /// Reads the size from the file's header, before the orientation is applied. It decodes nothing. Null means that the format is not
    /// supported.
    /// </summary>
    (int Width, int Height)? ReadSize(ReadOnlyMemory<byte> file);

    /// <summary>Counts the frames of an animated GIF or WebP without decoding them. The result is 1 for any other file.</summary>
    int CountFrames(ReadOnlyMemory<byte> file);

    /// <summary>Decodes the first frame. The orientation is reported, but not applied.</summary>
    /// <returns>Null if the file is truncated or damaged.</returns>
    DecodedPicture? Decode(ReadOnlyMemory<byte> file);

    /// <summary>
    /// Decodes frames of an animation as a viewer shows them, each as a whole canvas. Every frame has the orientation of the file.
    /// </summary>
    /// <param name="file">The encoded file.</param>
    /// <param name="frames">Indices of the frames, counted from 0, in ascending order.</param>
    /// <returns>
    /// The frames one after another. A frame's pixels are valid until the next frame is requested. A null means that the frame is truncated
    /// or damaged, and ends the sequence.
    /// </returns>
    IEnumerable<DecodedPicture?> DecodeFrames(ReadOnlyMemory<byte> file, IReadOnlyList<int> frames);
}
