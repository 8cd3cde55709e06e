using Flamingo.Abstractions;
using Flamingo.Gateway.Admission;
using Flamingo.Gateway.Latents;
using Flamingo.Gateway.Stages;
using Flamingo.Gateway.Tenants;
using Flamingo.Stages;

namespace Flamingo.Gateway.SupportSets;

/// <summary>Implements the public calls that store, read, list and delete support sets.</summary>
public sealed class SupportSetCollection(
    RequestPermits permits, StageDescriptions descriptions, LatentCache latents, ISupportSetStore store, GatewayOptions gateway,
    SupportSetOptions options, TimeProvider time) : ISupportSets
{
    public async Task<SupportSet> PutAsync(PutSupportSet request, CancellationToken cancellation)
    {
        using var permit = await permits.EnterAsync(request.Tenant, cancellation);
        var model = await descriptions.GetAsync(cancellation);
        var (tenant, faults) = (TenantOf(request.Tenant), new FaultList());
        var pictures = SupportSetRules.Check(request, model, options, faults);
        PromptRules.ThrowIfAny(faults);

        // The pictures are encoded first, so that a stored set can be used at once. Their latents stay cached if storing the set fails.
        var needsPooled = model.Vision.PooledWidth > 0;
        var embeddings = new Dictionary<string, ReadOnlyMemory<byte>>(StringComparer.Ordinal);
        foreach (var chunk in RequestedPicture.Distinct(pictures).Chunk(gateway.MaxPicturesPerRequest))
        {
            IReadOnlyList<RequestedPicture> requested = [.. chunk.Select(picture => picture with { NeedsPooled = needsPooled })];
            foreach (var picture in await latents.GetOrEncodeAsync(requested, tenant, cancellation))
                embeddings[picture.Id] = picture.Pooled is { } pooled ? ShotSelector.Embedding(pooled) : default;
        }

        var now = time.GetUtcNow();
        var set = new NewSet(
            request.Name, now, now + request.TimeToLive, StoredSet.EmbeddingOrigin(model),
            [.. pictures.Zip(request.Examples).Select(shot => new StoredShot(shot.First.Id, shot.Second.Text, embeddings[shot.First.Id]))],
            pictures.DistinctBy(picture => picture.Id)
                .ToDictionary(picture => picture.Id, picture => picture.Input!, StringComparer.Ordinal));
        return (await store.PutAsync(tenant, set, request.ExpectedVersion, cancellation)).ToPublic();
    }

    public async Task<SupportSet> GetAsync(string tenant, string name, CancellationToken cancellation) =>
        (await store.GetAsync(TenantOf(tenant), CheckedName(name), cancellation) ?? throw SupportSetRefusals.Missing(name)).ToPublic();

    public async Task<IReadOnlyList<SupportSet>> ListAsync(string tenant, CancellationToken cancellation) =>
        [.. (await store.ListAsync(TenantOf(tenant), cancellation)).Select(set => set.ToPublic())];

    public async Task DeleteAsync(string tenant, string name, CancellationToken cancellation)
    {
        if (!await store.DeleteAsync(TenantOf(tenant), CheckedName(name), cancellation)) throw SupportSetRefusals.Missing(name);
    }

    private Tenant TenantOf(string name) => Tenant.Of(name, gateway.TenantSalt);

    private static string CheckedName(string name)
    {
        var faults = new FaultList();
        SupportSetRules.CheckName(name, "name", faults);
        PromptRules.ThrowIfAny(faults);
        return name;
    }
}
