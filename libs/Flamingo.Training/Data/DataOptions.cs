namespace Flamingo.Training.Data;

/// <summary>How samples become sequences, and how many may be broken. The defaults are those of OpenFlamingo's published recipe.</summary>
public sealed record DataOptions
{
    /// <summary>Most tokens of a pair of picture and caption; the rest is cut off.</summary>
    public int MaxPairTokens { get; init; } = 32;

    /// <summary>Most tokens of a document of MMC4; the rest is cut off.</summary>
    public int MaxDocumentTokens { get; init; } = 256;

    /// <summary>
    /// Most tokens of an example in a JSONL file; 0 means the context length of the model. A longer example counts as broken, because its
    /// answer would be what is cut off.
    /// </summary>
    public int MaxExampleTokens { get; init; }

    /// <summary>Documents with fewer pictures are left out.</summary>
    public int MinPictures { get; init; } = 1;

    /// <summary>Further pictures of a document are left out.</summary>
    public int MaxPictures { get; init; } = 6;

    /// <summary>Pictures of a document whose similarity to their sentence is below this are left out.</summary>
    public double MinSimilarity { get; init; } = 0.24;

    /// <summary>Pictures of a document with at most this many bytes are left out: they are icons and buttons.</summary>
    public int SmallestPictureBytes { get; init; } = 10_000;

    /// <summary>Probability with which a document that has a single picture is used in an epoch.</summary>
    public double SingleKept { get; init; } = 0.5;

    /// <summary>Probability with which a picture of a tar is flipped horizontally.</summary>
    public double FlipProbability { get; init; } = 0.5;

    /// <summary>Probability with which a picture of a JSONL file is flipped; 0, because its text may speak of left and right.</summary>
    public double ExampleFlipProbability { get; init; }

    /// <summary>Most samples that wait in the buffer from which the next one is drawn; 0 keeps the order of the files.</summary>
    public int ShuffleBuffer { get; init; } = 10_000;

    /// <summary>Most bytes of the samples in that buffer.</summary>
    public long ShuffleBytes { get; init; } = 256L << 20;

    /// <summary>Largest share of the samples that may be broken, 0 to 1.</summary>
    public double MostBroken { get; init; } = 0.1;

    /// <summary>The share is looked at after so many samples, and at the end of the first epoch.</summary>
    public int BrokenAfter { get; init; } = 100;

    /// <summary>Largest entry of a tar that is read, in bytes; also the largest picture file beside a JSONL file.</summary>
    public long MaxEntryBytes { get; init; } = 64L << 20;

    /// <summary>Longest line of a JSONL file, in bytes.</summary>
    public int MaxLineBytes { get; init; } = 16 << 20;
}
