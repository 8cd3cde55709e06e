using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Gateway.SupportSets;

/// <summary>A stored example. Its files are stored separately from the set, because most prompts do not need them.</summary>
/// <param name="Embedding">
/// CLIP's pooled and projected embedding, little-endian f32 scaled to length one; empty if the model has none.
/// </param>
public sealed record StoredShot(string PictureId, string Text, ReadOnlyMemory<byte> Embedding);

/// <param name="Revision">Unique over all versions, including those of deleted sets of the same name.</param>
/// <param name="EmbeddedBy">The model that computed the embeddings; see <see cref="EmbeddingOrigin"/>.</param>
public sealed record StoredSet(
    string Name, long Version, string Revision, DateTimeOffset Created, DateTimeOffset? Expires, string EmbeddedBy, int Count,
    IReadOnlyList<StoredShot> Shots)
{
    public static string EmbeddingOrigin(FlamingoModel model) => $"{model.Vision.WeightsDigest} {model.Vision.PreprocessingVersion}";

    /// <summary>
    /// About how many bytes of memory the set takes without its pictures' files: strings are UTF-16, and each object is managed.
    /// </summary>
    public long MemoryBytes => SetOverhead + (2L * (Name.Length + Revision.Length + EmbeddedBy.Length))
        + Shots.Sum(shot => ShotOverhead + (2L * (shot.PictureId.Length + shot.Text.Length)))
        + Shots.DistinctBy(shot => shot.PictureId).Sum(shot => (long)shot.Embedding.Length);

    private const int SetOverhead = 1024;
    private const int ShotOverhead = 160;

    public SupportSet ToPublic() =>
        new(Name, Version, Created, Expires, Count, [.. Shots.Select(shot => new StoredExample(shot.PictureId, shot.Text))]);
}

/// <summary>A set to be stored. The store assigns its version.</summary>
/// <param name="Pictures">The files of every shot's picture, by picture id.</param>
public sealed record NewSet(
    string Name, DateTimeOffset Created, DateTimeOffset? Expires, string EmbeddedBy, IReadOnlyList<StoredShot> Shots,
    IReadOnlyDictionary<string, VisualInput> Pictures)
{
    private const int PictureOverhead = 320;
    private const int FileOverhead = 64;

    /// <summary>About how many bytes of memory the set takes, with its pictures' files.</summary>
    public long MemoryBytes => As(1, "").MemoryBytes + Pictures.Sum(picture =>
        PictureOverhead + (2L * picture.Key.Length) + picture.Value.Files.Sum(file => FileOverhead + (long)file.Length));

    public StoredSet As(long version, string revision) => new(Name, version, revision, Created, Expires, EmbeddedBy, Shots.Count, Shots);
}
