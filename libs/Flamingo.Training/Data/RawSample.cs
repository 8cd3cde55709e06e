namespace Flamingo.Training.Data;

/// <summary>A sample as it lies in its file.</summary>
/// <param name="Origin">File and entry or line, for messages.</param>
internal abstract record RawSample(string Origin)
{
    /// <summary>Bytes that the sample holds in memory.</summary>
    public abstract long Size { get; }
}

/// <summary>A picture and its caption.</summary>
internal sealed record PairSample(string Origin, ReadOnlyMemory<byte> Picture, ReadOnlyMemory<byte> Caption, bool CaptionIsJson)
    : RawSample(Origin)
{
    public override long Size => Picture.Length + Caption.Length;
}

/// <summary>A document of MMC4, as JSON.</summary>
internal sealed record DocumentSample(string Origin, ReadOnlyMemory<byte> Json) : RawSample(Origin)
{
    public override long Size => Json.Length;
}

/// <summary>A line of a JSONL file.</summary>
/// <param name="Folder">Folder of the file, which paths of pictures are relative to.</param>
internal sealed record ExampleSample(string Origin, string Folder, ReadOnlyMemory<byte> Json) : RawSample(Origin)
{
    public override long Size => Json.Length;
}

/// <summary>A sample that cannot be read.</summary>
internal sealed record UnreadableSample(BrokenSample Broken) : RawSample(Broken.Origin)
{
    public override long Size => 0;
}

/// <summary>A sample is broken.</summary>
internal sealed class SampleException(BrokenKind kind, string cause) : Exception(cause)
{
    public BrokenKind Kind { get; } = kind;
}
