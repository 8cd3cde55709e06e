using Flamingo.Abstractions;
using Flamingo.Gateway.Eviction;
using Flamingo.Gateway.Latents;
using Flamingo.Gateway.Tenants;
using Flamingo.Stages;

namespace Flamingo.Gateway.SupportSets;

/// <summary>The shots selected for one prompt.</summary> <param name="Query">Latents of the query's pictures; empty if the
/// selection did not need them.</param>
public sealed record ResolvedShots(StoredSet Set, SelectedShots Selected, IReadOnlyList<PictureLatents> Query)
{
    /// <summary>The selected shots in the order of the prompt.</summary>
    public IReadOnlyList<StoredShot> Shots => [.. Selected.Examples.Select(index => Set.Shots[index])];
}

/// <summary>Selects shots from a support set for one prompt.</summary>
public sealed class SupportSetShots(ISupportSetStore store, LatentCache latents, GatewayOptions options)
{
    /// <summary>Bound on the memory of the sets whose embeddings were computed again.</summary>
    public const long MostEmbeddedBytes = 64L << 20;

    private const int MostEmbedded = 64;

    // sets with recomputed embeddings, by revision and origin
    private readonly RecentlyAdded<StoredSet> _embedded = new(MostEmbedded, MostEmbeddedBytes, set => set.MemoryBytes);

    /// <exception cref="FlamingoException">
    /// NotFound: the version does not exist, or pictures of the set or of the query are not held; InvalidArgument: more
    /// shots than the set has, or than a prompt accepts.
    /// </exception>
    public async Task<ResolvedShots> SelectAsync(
        StoredSet set, SupportSetChoice choice, IReadOnlyList<RequestedPicture> query, int segments, Tenant tenant, FlamingoModel model,
        CancellationToken cancellation)
    {
        if (choice.Version != 0 && choice.Version != set.Version)
            throw SupportSetRefusals.Missing(
                choice.Name, $"There is no version {choice.Version} but version {set.Version} of this support set");
        var faults = new FaultList();
        SupportSetRules.Check(choice, set, query.Count, segments, options.MaxPicturesPerRequest, faults);
        PromptRules.ThrowIfAny(faults);

        IReadOnlyList<PictureLatents> resolved = [];
        var queryEmbedding = ReadOnlyMemory<byte>.Empty;
        if (choice.Selection == ShotSelection.Rices)
        {
            // All pictures of the query are resolved together, so that the new ones are encoded in one call.
            resolved = await latents.GetOrEncodeAsync(
                [.. query.SkipLast(1), query[^1] with { NeedsPooled = true }], tenant, cancellation,
                ids => FilesAsync(set, ids, tenant, cancellation));
            queryEmbedding = ShotSelector.Embedding(resolved[^1].Pooled!);
            set = await EmbeddedAsync(set, tenant, model, cancellation);
        }

        return new ResolvedShots(set, new SelectedShots(set.Name, set.Version, ShotSelector.Select(choice, set, queryEmbedding)), resolved);
    }

    /// <exception cref="FlamingoException">NotFound: the set does not exist.</exception>
    public async Task<StoredSet> GetAsync(SupportSetChoice choice, Tenant tenant, CancellationToken cancellation) =>
        await store.GetAsync(tenant, choice.Name, cancellation) ?? throw SupportSetRefusals.Missing(choice.Name);

    /// <summary>Returns the files of a set's pictures by id. Pictures that no longer exist are omitted.</summary>
    public Task<IReadOnlyDictionary<string, VisualInput>> FilesAsync(
        StoredSet set, IReadOnlyCollection<string> ids, Tenant tenant, CancellationToken cancellation) =>
        store.GetPicturesAsync(tenant, set, ids, cancellation);

    // Embeddings of another checkpoint cannot be compared with those of this one. They are computed again, once per process.
    private async Task<StoredSet> EmbeddedAsync(StoredSet set, Tenant tenant, FlamingoModel model, CancellationToken cancellation)
    {
        var origin = StoredSet.EmbeddingOrigin(model);
        var bytes = model.Vision.PooledWidth * sizeof(float);
        if (set.EmbeddedBy == origin && set.Shots.All(shot => shot.Embedding.Length == bytes)) return set;
        if (_embedded.Find($"{set.Revision} {origin}") is { } known) return known;
        var embeddings = new Dictionary<string, ReadOnlyMemory<byte>>(StringComparer.Ordinal);
        var shots = set.Shots.Select(shot => new RequestedPicture(shot.PictureId, null, "support_set") { NeedsPooled = true });
        foreach (var chunk in RequestedPicture.Distinct(shots).Chunk(options.MaxPicturesPerRequest))
        {
            var resolved = await latents.GetOrEncodeAsync(chunk, tenant, cancellation, ids => FilesAsync(set, ids, tenant, cancellation));
            foreach (var picture in resolved) embeddings[picture.Id] = ShotSelector.Embedding(picture.Pooled!);
        }

        var updated = set with
        {
            EmbeddedBy = origin, Shots = [.. set.Shots.Select(shot => shot with { Embedding = embeddings[shot.PictureId] })],
        };
        _embedded.Add($"{set.Revision} {origin}", updated);
        return updated;
    }
}
