using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Gateway.SupportSets;

/// <summary>One example as it is kept. Its files are stored beside the set, because most prompts need none of them.</summary>
/// <param name="Embedding">
/// CLIP's pooled and projected embedding, little-endian f32 scaled to length one; empty where the model has none.
/// </param>
public sealed record StoredShot(string PictureId, string Text, ReadOnlyMemory<byte> Embedding);

/// <param name="Revision">Unlike any other's, deleted sets of the same name included.</param>
/// <param name="EmbeddedBy">What made the embeddings, see <see cref="EmbeddingOrigin"/>.</param>
public sealed record StoredSet(
    string Name, long Version, string Revision, DateTimeOffset Created, DateTimeOffset? Expires, string EmbeddedBy, int Count,
    IReadOnlyList<StoredShot> Shots)
{
    public static string EmbeddingOrigin(FlamingoModel model) => $"{model.Vision.WeightsDigest} {model.Vision.PreprocessingVersion}";

    public SupportSet ToPublic() =>
        new(Name, Version, Created, Expires, Count, [.. Shots.Select(shot => new StoredExample(shot.PictureId, shot.Text))]);
}

/// <summary>A set as it is handed to a store, which gives it its version.</summary>
/// <param name="Pictures">By id; every shot's.</param>
public sealed record NewSet(
    string Name, DateTimeOffset Created, DateTimeOffset? Expires, string EmbeddedBy, IReadOnlyList<StoredShot> Shots,
    IReadOnlyDictionary<string, VisualInput> Pictures)
{
    public StoredSet As(long version, string revision) => new(Name, version, revision, Created, Expires, EmbeddedBy, Shots.Count, Shots);
}
