using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.VisionEncoder.Execution;

/// <summary>The frames to decode of one picture or clip.</summary>
/// <param name="Frames">Indices of the files if there are several, otherwise of the frames of the only file; ascending.</param>
internal sealed record PicturePlan(VisualInput Picture, IReadOnlyList<int> Frames)
{
    /// <summary>Whether decoding takes so long that not all decoders may be busy with such pictures.</summary>
    public bool IsLarge { get; init; }

    /// <summary>Whether frames after the first of a single file are to be decoded.</summary>
    public bool IsAnimation => Picture.Files.Count == 1 && Frames is not [0];

    /// <summary>
    /// Chooses n of N frames at even distances: the frame in the middle of each of n equal parts, ⌊(i + 0.5) · N / n⌋. It chooses
    /// all frames if N ≤ n.
    /// <code>
    /// N = 10, n = 4    |  ·  x  ·  | x  ·  ·  x|  ·  ·  x  ·      frames 1, 3, 6, 8
    /// </code>
    /// </summary>
    /// <param name="there">Number of frames N of the clip.</param>
    /// <param name="most">Largest number of frames n to choose; 0 counts as 1.</param>
    public static IReadOnlyList<int> Sample(int there, int most)
    {
        var count = Math.Min(there, Math.Max(1, most));
        return [.. Enumerable.Range(0, count).Select(index => (int)(((2L * index) + 1) * there / (2L * count)))];
    }
}
