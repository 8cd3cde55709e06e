namespace Flamingo.Evaluation.Reports;

/// <summary>What bounds a report's size, and how it gets small pictures.</summary>
public sealed record ReportOptions
{
    /// <summary>Most answers of a benchmark that can be browsed.</summary>
    public int SamplesPerBenchmark { get; init; } = 200;

    /// <summary>Most bytes of all pictures together; where they are spent, further shots have their texts alone.</summary>
    public long PictureBytes { get; init; } = 24 << 20;

    /// <summary>Most failures that are listed one by one; the rest is counted.</summary>
    public int Failures { get; init; } = 200;

    /// <summary>
    /// Makes a small JPEG, PNG, WebP or GIF of a picture file, or returns null where it cannot. It is called from several threads
    /// at once. It may throw; the report then says that the picture cannot be shown. Without it, files of at most <see cref="LargestUnscaled"/> bytes are shown as they are.
    /// </summary>
    public Func<string, byte[]?>? Thumbnail { get; init; }

    /// <summary>In bytes.</summary>
    public const int LargestUnscaled = 64 << 10;
}
