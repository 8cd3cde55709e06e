namespace Flamingo.VisionEncoder.Decoding;

/// <summary>A decoded picture: unpremultiplied RGBA, row-major, 4 bytes a pixel.</summary>
public sealed record DecodedPicture(int Width, int Height, byte[] Rgba);

/// <summary>Turns an encoded file (JPEG, PNG, WebP, GIF, BMP) into pixels. One implementation is compiled in: see ImageDecoder in the README.</summary>
public interface IPictureDecoder
{
    /// <summary>Enters latent keys: decoders may differ by a grey level.</summary>
    string Name { get; }

    /// <summary>Size by the file's header alone, nothing decoded; null for a format this decoder does not read.</summary>
    (int Width, int Height)? ReadSize(ReadOnlyMemory<byte> file);

    /// <summary>Frames of an animated GIF or WebP, nothing decoded; 1 of anything else.</summary>
    int CountFrames(ReadOnlyMemory<byte> file);

    /// <summary>The first frame, as it lies in the file: EXIF rotation is not applied, as in the reference pipelines.</summary>
    /// <returns>Null if the file is truncated or damaged.</returns>
    DecodedPicture? Decode(ReadOnlyMemory<byte> file);

    /// <summary>Frames of an animation as they are shown, each on the whole canvas.</summary>
    /// <param name="frames">Indices, ascending.</param>
    /// <returns>One after another, each valid until the next is asked for; null if it is truncated or damaged, and then no more.</returns>
    IEnumerable<DecodedPicture?> DecodeFrames(ReadOnlyMemory<byte> file, IReadOnlyList<int> frames);
}
