using Flamingo.Abstractions;
using Flamingo.Gateway.Pictures;
using Flamingo.Gateway.Tenants;
using Flamingo.Stages;

namespace Flamingo.Gateway.SupportSets;

/// <param name="Query">Query pictures that had to be resolved for the choice.</param>
public sealed record DrawnShots(StoredSet Set, SelectedShots Selected, Resolution Query)
{
    /// <summary>In the order of the prompt.</summary>
    public IReadOnlyList<StoredShot> Shots => [.. Selected.Examples.Select(place => Set.Shots[place])];
}

/// <summary>Draws shots from a support set for one prompt.</summary>
public sealed class SupportSetShots(ISupportSetStore store, LatentResolver latents, GatewayOptions options)
{
    private readonly SeenSets _embedded = new();

    /// <exception cref="FlamingoException">NotFound: no such set or version; InvalidArgument: more shots than there are, or than a prompt takes.</exception>
    public async Task<DrawnShots> DrawAsync(SupportSetChoice choice, IReadOnlyList<RequestedPicture> query, int segments, Tenant tenant, FlamingoModel model, CancellationToken cancellation)
    {
        var set = await store.GetAsync(tenant, choice.Name, cancellation) ?? throw SupportSetRefusals.Missing(choice.Name);
        if (choice.Version != 0 && choice.Version != set.Version) throw SupportSetRefusals.Missing(choice.Name, $"Version {choice.Version} is not there, version {set.Version} is");
        var faults = new List<FieldFault>();
        SupportSetRules.Check(choice, set, query.Count, segments, options.MaxPicturesPerRequest, faults);
        PromptRules.ThrowIfAny(faults);

        var (seen, asked) = (Resolution.Empty, ReadOnlyMemory<byte>.Empty);
        if (choice.Selection == ShotSelection.Rices)
        {
            // with the rest of the query, so that all its new pictures are encoded in one call
            seen = await latents.ResolveAsync(RequestedPicture.Distinct(query.Select((picture, place) => place == query.Count - 1 ? picture with { Extras = picture.Extras | PictureExtras.Pooled } : picture)), tenant, cancellation);
            asked = ShotSelector.Embedding(seen.Pictures[query[^1].Id].Pooled!);
            set = await EmbeddedAsync(set, tenant, model, cancellation);
        }

        return new DrawnShots(set, new SelectedShots(set.Name, set.Version, ShotSelector.Select(choice, set, asked)), seen);
    }

    public Task<IReadOnlyDictionary<string, VisualInput>> FilesAsync(DrawnShots drawn, IReadOnlyCollection<string> ids, Tenant tenant, CancellationToken cancellation) =>
        store.GetPicturesAsync(tenant, drawn.Set, ids, cancellation);

    // another checkpoint's embeddings say nothing about this one's: made anew, once per process
    private async Task<StoredSet> EmbeddedAsync(StoredSet set, Tenant tenant, FlamingoModel model, CancellationToken cancellation)
    {
        var origin = StoredSet.EmbeddingOrigin(model);
        if (set.EmbeddedBy == origin) return set;
        if (_embedded.Get($"{set.Revision} {origin}") is { } known) return known;
        var embeddings = new Dictionary<string, ReadOnlyMemory<byte>>(StringComparer.Ordinal);
        foreach (var some in set.Shots.Select(shot => shot.PictureId).Distinct(StringComparer.Ordinal).Chunk(options.MaxPicturesPerRequest))
        {
            var files = await store.GetPicturesAsync(tenant, set, some, cancellation);
            var pictures = some.Select(id => new RequestedPicture(id, files.GetValueOrDefault(id), "support_set", PictureExtras.Pooled)).ToList();
            foreach (var (id, picture) in (await latents.ResolveAsync(pictures, tenant, cancellation)).Pictures) embeddings[id] = ShotSelector.Embedding(picture.Pooled!);
        }

        var anew = set with { EmbeddedBy = origin, Shots = [.. set.Shots.Select(shot => shot with { Embedding = embeddings[shot.PictureId] })] };
        _embedded.Put($"{set.Revision} {origin}", anew);
        return anew;
    }
}
