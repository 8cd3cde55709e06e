namespace Flamingo.Training.Data;

/// <summary>An encoded picture file.</summary>
/// <param name="Bytes">The file.</param>
/// <param name="Flipped">Whether the picture is flipped horizontally after it was decoded and resized.</param>
public sealed record PictureFile(ReadOnlyMemory<byte> Bytes, bool Flipped);

/// <summary>A sequence to train on, without padding.</summary>
/// <param name="Ids">Token ids.</param>
/// <param name="Labels">For each token, its id if it counts in the loss, else <see cref="Network.TrainingBatch.Ignored"/>.</param>
/// <param name="Pictures">One picture for each marker among the ids, in reading order.</param>
/// <param name="Origin">File and entry or line, for messages.</param>
public sealed record TrainingSequence(int[] Ids, int[] Labels, IReadOnlyList<PictureFile> Pictures, string Origin)
{
    /// <summary>What the data says about each picture; null where it says nothing.</summary>
    public required IReadOnlyList<string?> Descriptions { get; init; }
}
