using Flamingo.Abstractions;
using Flamingo.Gateway.Eviction;
using Flamingo.Gateway.Latents;
using Flamingo.Gateway.Tenants;
using Flamingo.Stages;

namespace Flamingo.Gateway.SupportSets;

/// <param name="Query">Latents of the query's pictures, where the choice needed them.</param>
public sealed record DrawnShots(StoredSet Set, SelectedShots Selected, IReadOnlyList<PictureLatents> Query)
{
    /// <summary>In the order of the prompt.</summary>
    public IReadOnlyList<StoredShot> Shots => [.. Selected.Examples.Select(place => Set.Shots[place])];
}

/// <summary>Draws shots from a support set for one prompt.</summary>
public sealed class SupportSetShots(ISupportSetStore store, LatentCache latents, GatewayOptions options)
{
    private const int MostEmbedded = 64;

    private readonly RecentlyAdded<StoredSet> _embedded = new(MostEmbedded); // sets with this checkpoint's embeddings

    /// <exception cref="FlamingoException">
    /// NotFound: no such set or version; InvalidArgument: more shots than there are, or than a prompt takes.
    /// </exception>
    public async Task<DrawnShots> DrawAsync(
        SupportSetChoice choice, IReadOnlyList<RequestedPicture> query, int segments, Tenant tenant, FlamingoModel model,
        CancellationToken cancellation)
    {
        var set = await store.GetAsync(tenant, choice.Name, cancellation) ?? throw SupportSetRefusals.Missing(choice.Name);
        if (choice.Version != 0 && choice.Version != set.Version)
            throw SupportSetRefusals.Missing(choice.Name, $"Version {choice.Version} is not there, version {set.Version} is");
        var faults = new List<FieldFault>();
        SupportSetRules.Check(choice, set, query.Count, segments, options.MaxPicturesPerRequest, faults);
        PromptRules.ThrowIfAny(faults);

        IReadOnlyList<PictureLatents> resolved = [];
        var asked = ReadOnlyMemory<byte>.Empty;
        if (choice.Selection == ShotSelection.Rices)
        {
            // All pictures of the query, so that its new ones are encoded in one call.
            resolved = await latents.GetOrEncodeAsync(
                [.. query.SkipLast(1), query[^1] with { NeedsPooled = true }], tenant, cancellation,
                ids => FilesAsync(set, ids, tenant, cancellation));
            asked = ShotSelector.Embedding(resolved[^1].Pooled!);
            set = await EmbeddedAsync(set, tenant, model, cancellation);
        }

        return new DrawnShots(set, new SelectedShots(set.Name, set.Version, ShotSelector.Select(choice, set, asked)), resolved);
    }

    /// <summary>Files of a set's pictures, by id; those that are gone are left out.</summary>
    public Task<IReadOnlyDictionary<string, VisualInput>> FilesAsync(
        StoredSet set, IReadOnlyCollection<string> ids, Tenant tenant, CancellationToken cancellation) =>
        store.GetPicturesAsync(tenant, set, ids, cancellation);

    // Embeddings of another checkpoint cannot be compared with this one's. They are made again, once per process.
    private async Task<StoredSet> EmbeddedAsync(StoredSet set, Tenant tenant, FlamingoModel model, CancellationToken cancellation)
    {
        var origin = StoredSet.EmbeddingOrigin(model);
        if (set.EmbeddedBy == origin) return set;
        if (_embedded.Find($"{set.Revision} {origin}") is { } known) return known;
        var embeddings = new Dictionary<string, ReadOnlyMemory<byte>>(StringComparer.Ordinal);
        var shots = set.Shots.Select(shot => new RequestedPicture(shot.PictureId, null, "support_set") { NeedsPooled = true });
        foreach (var some in RequestedPicture.Distinct(shots).Chunk(options.MaxPicturesPerRequest))
        {
            var resolved = await latents.GetOrEncodeAsync(some, tenant, cancellation, ids => FilesAsync(set, ids, tenant, cancellation));
            foreach (var picture in resolved) embeddings[picture.Id] = ShotSelector.Embedding(picture.Pooled!);
        }

        var anew = set with
        {
            EmbeddedBy = origin, Shots = [.. set.Shots.Select(shot => shot with { Embedding = embeddings[shot.PictureId] })],
        };
        _embedded.Add($"{set.Revision} {origin}", anew);
        return anew;
    }
}
