namespace Flamingo.Abstractions;

/// <summary>A picture or a clip as files.</summary>
/// <param name="Files">Encoded files (JPEG, PNG, WebP, GIF, BMP): one still picture; or one animated GIF or WebP; or the frames of a clip in order, each the first frame of its file. Never changed while anyone holds this.</param>
/// <param name="MaxFrames">Most frames, sampled evenly from those there are: n of N takes frame ⌊(i + 0.5) · N / n⌋. 1 of an animation is its first.</param>
public sealed record VisualInput(IReadOnlyList<ReadOnlyMemory<byte>> Files, int MaxFrames = 1)
{
    public static VisualInput Still(ReadOnlyMemory<byte> file) => new([file]);
}
