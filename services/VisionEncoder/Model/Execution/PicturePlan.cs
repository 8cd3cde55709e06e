using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.VisionEncoder.Execution;

/// <summary>What is to be decoded of one picture or clip.</summary>
/// <param name="Frames">Indices of files, where there are several; else of the frames of the one file. Ascending.</param>
internal sealed record PicturePlan(VisualInput Picture, IReadOnlyList<int> Frames)
{
    /// <summary>Whether frames past the first of one file are wanted.</summary>
    public bool IsAnimation => Picture.Files.Count == 1 && Frames is not [0];

    /// <summary>
    /// n of N frames, evenly: the one in the middle of each n-th part, ⌊(i + 0.5) · N / n⌋. All of them where there are not more.
    /// <code>
    /// N = 10, n = 4    |  ·  x  ·  | x  ·  ·  x|  ·  ·  x  ·      frames 1, 3, 6, 8
    /// </code>
    /// </summary>
    /// <param name="most">0 is read as 1.</param>
    public static IReadOnlyList<int> Sample(int there, int most)
    {
        var count = Math.Min(there, Math.Max(1, most));
        return [.. Enumerable.Range(0, count).Select(index => (int)(((2L * index) + 1) * there / (2L * count)))];
    }
}
