using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Flamingo.Abstractions;

/// <summary>A piece of an interleaved prompt.</summary>
public abstract record FlamingoSegment;

/// <param name="Text">Text without a picture marker such as <c>&lt;image&gt;</c>; the service inserts the markers.</param>
public sealed record FlamingoText(string Text) : FlamingoSegment;

/// <summary>A picture or clip at one place of a prompt.</summary>
public abstract record FlamingoVisual : FlamingoSegment;

/// <summary>A picture as an encoded file: JPEG, PNG, WebP, GIF or BMP. Only the first frame of an animation is used.</summary>
/// <param name="Bytes">The encoded file. It is not copied, so it must not change until the answer has arrived.</param>
public sealed record FlamingoPicture(ReadOnlyMemory<byte> Bytes) : FlamingoVisual;

/// <summary>A picture or clip that was sent before, named by the id that an earlier answer returned.</summary>
/// <param name="Id">See <see cref="PictureId"/>.</param>
public sealed record FlamingoPictureId(string Id) : FlamingoVisual;

/// <summary>A short clip. With MaxFrames 0, the service uses the largest number of frames that the model accepts.</summary>
public sealed record FlamingoVideo(VisualInput Input) : FlamingoVisual;

/// <summary>A picture or a clip as files.</summary>
/// <param name="Files">
/// Encoded files: one still picture, or one animated GIF or WebP, or the frames of a clip in order (the first frame of each
/// file). The bytes must not change while this record is in use.
/// </param>
/// <param name="MaxFrames">
/// Largest number of frames. They are sampled evenly: n of N frames takes frames ⌊(i + 0.5) · N / n⌋. With 1, an animation gives
/// its first frame.
/// </param>
public sealed record VisualInput(IReadOnlyList<ReadOnlyMemory<byte>> Files, int MaxFrames = 1)
{
    public static VisualInput Still(ReadOnlyMemory<byte> file) => new([file]);
}

/// <summary>
/// The id under which a service knows a picture or clip. It is computed only from the files: 64 lowercase hexadecimal characters.
/// Pictures belong to a tenant, so a request cannot find a picture of another tenant by its id.
/// </summary>
public static class PictureId
{
    /// <param name="file">The encoded file.</param>
    public static string Of(ReadOnlySpan<byte> file) => Convert.ToHexStringLower(SHA256.HashData(file));

    /// <param name="clip">The clip, with MaxFrames as the caller sends it.</param>
    public static string Of(VisualInput clip)
    {
        var header = string.Create(CultureInfo.InvariantCulture, $"flamingo clip 1 {clip.MaxFrames}");
        return Of(Encoding.UTF8.GetBytes(header + string.Concat(clip.Files.Select(file => " " + Of(file.Span)))));
    }

    public static bool IsWellFormed(string id) =>
        id.Length == 64 && id.All(character => character is >= '0' and <= '9' or >= 'a' and <= 'f');
}
