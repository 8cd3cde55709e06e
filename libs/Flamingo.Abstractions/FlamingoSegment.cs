using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Flamingo.Abstractions;

/// <summary>A piece of an interleaved prompt.</summary>
public abstract record FlamingoSegment;

/// <param name="Text">Without a picture marker such as <c>&lt;image&gt;</c>, which the service places.</param>
public sealed record FlamingoText(string Text) : FlamingoSegment;

/// <summary>What the model sees at one place of a prompt.</summary>
public abstract record FlamingoVisual : FlamingoSegment;

/// <summary>A picture as an encoded file: JPEG, PNG, WebP, GIF or BMP; of an animation the first frame.</summary>
/// <param name="Bytes">Not copied: it stays unchanged until the answer has come.</param>
public sealed record FlamingoPicture(ReadOnlyMemory<byte> Bytes) : FlamingoVisual;

/// <summary>A picture or clip that was sent before, by the id that an earlier answer returned.</summary>
/// <param name="Id">See <see cref="PictureId"/>.</param>
public sealed record FlamingoPictureId(string Id) : FlamingoVisual;

/// <summary>A short clip; MaxFrames 0 is as many as the model takes.</summary>
public sealed record FlamingoVideo(VisualInput Input) : FlamingoVisual;

/// <summary>A picture or a clip as files.</summary>
/// <param name="Files">
/// Encoded files: one still picture; or one animated GIF or WebP; or the frames of a clip in order, each the first frame of its
/// file. They never change while anyone holds this record.
/// </param>
/// <param name="MaxFrames">
/// Most frames, sampled evenly from those there are: n of N takes frame ⌊(i + 0.5) · N / n⌋. 1 of an animation is its first.
/// </param>
public sealed record VisualInput(IReadOnlyList<ReadOnlyMemory<byte>> Files, int MaxFrames = 1)
{
    public static VisualInput Still(ReadOnlyMemory<byte> file) => new([file]);
}

/// <summary>
/// The name under which a service knows a picture or clip, computed from its files alone: 64 lowercase hexadecimal characters.
/// Each tenant has its own pictures, so the id of another tenant's picture is not found.
/// </summary>
public static class PictureId
{
    /// <param name="file">The encoded file.</param>
    public static string Of(ReadOnlySpan<byte> file) => Convert.ToHexStringLower(SHA256.HashData(file));

    /// <param name="clip">With MaxFrames as the caller sends it.</param>
    public static string Of(VisualInput clip)
    {
        var header = string.Create(CultureInfo.InvariantCulture, $"flamingo clip 1 {clip.MaxFrames}");
        return Of(Encoding.UTF8.GetBytes(header + string.Concat(clip.Files.Select(file => " " + Of(file.Span)))));
    }

    public static bool IsWellFormed(string id) =>
        id.Length == 64 && id.All(character => character is >= '0' and <= '9' or >= 'a' and <= 'f');
}
