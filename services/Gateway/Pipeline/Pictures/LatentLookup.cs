using Flamingo.Gateway.LatentCache;
using Flamingo.Gateway.Tenants;
using Flamingo.Stages;

namespace Flamingo.Gateway.Pictures;

/// <param name="Picture">With its files, if it is to be encoded.</param>
/// <param name="Key">By the weights described.</param>
/// <param name="Held">Latents that are cached already, where only an extra is missing: they stay, so that no answer changes.</param>
public sealed record PictureToEncode(RequestedPicture Picture, string Key, LatentEntry? Held);

/// <summary>What the tiers hold of a picture: its latents, and the extras that a request needs.</summary>
public sealed class LatentLookup(LatentTiers tiers)
{
    /// <returns>Found is null unless everything needed is held.</returns>
    public async Task<(ResolvedPicture? Found, PictureToEncode Miss)> LookAsync(RequestedPicture picture, FlamingoModel model, Tenant tenant, CancellationToken cancellation)
    {
        var key = LatentKey.Compute(
            picture.Id, model.Vision.WeightsDigest, model.Resampler.WeightsDigest, model.Vision.PreprocessingVersion, model.Resampler.LatentDtype, tenant.Salt);
        var (latentsTask, attentionTask, pooledTask) = (
            tiers.GetAsync(key, tensor => AreLatents(tensor, model), cancellation),
            !picture.Extras.HasFlag(PictureExtras.Attention) ? Nothing : tiers.GetAsync(LatentKey.OfAttention(key), tensor => IsAttention(tensor, model), cancellation),
            !picture.Extras.HasFlag(PictureExtras.Pooled) ? Nothing : tiers.GetAsync(LatentKey.OfPooled(key), tensor => IsPooled(tensor, model), cancellation));
        await Task.WhenAll(latentsTask, attentionTask, pooledTask);
        var latents = await latentsTask;
        return (Resolve(picture, key, latents?.Entry, latents?.Source ?? default, (await attentionTask)?.Entry, (await pooledTask)?.Entry, model), new PictureToEncode(picture, key, latents?.Entry));
    }

    /// <summary>The same by a glance at the memory of this process.</summary>
    public ResolvedPicture? InMemory(PictureToEncode miss, FlamingoModel model) => Resolve(
        miss.Picture, miss.Key, tiers.InMemory(miss.Key), PictureSource.Memory, tiers.InMemory(LatentKey.OfAttention(miss.Key)), tiers.InMemory(LatentKey.OfPooled(miss.Key)), model);

    private static Task<(LatentEntry Entry, PictureSource Source)?> Nothing { get; } = Task.FromResult<(LatentEntry, PictureSource)?>(null);

    private static ResolvedPicture? Resolve(RequestedPicture picture, string key, LatentEntry? latents, PictureSource source, LatentEntry? attention, LatentEntry? pooled, FlamingoModel model)
    {
        if (latents is null
            || (picture.Extras.HasFlag(PictureExtras.Attention) && attention is null)
            || (picture.Extras.HasFlag(PictureExtras.Pooled) && pooled is null)) return null;
        return new ResolvedPicture(key, latents.Latents, source, LatentOrigin.Of(model), latents.Cost) { Attention = attention?.Latents.Tensor, Pooled = pooled?.Latents.Tensor };
    }

    // dtype and shape stand outside the checksum, and the key says what they must be: anything else is a miss
    private static bool AreLatents(TensorData tensor, FlamingoModel model) =>
        tensor.Dtype == model.Resampler.LatentDtype && tensor.Shape.AsSpan().SequenceEqual([model.Resampler.Latents, model.Resampler.Width]);

    private static bool IsAttention(TensorData tensor, FlamingoModel model) =>
        tensor.Dtype == TensorDtype.Float32 && tensor.Shape.Length == 2 && tensor.Shape[0] == model.Resampler.Latents && tensor.Shape[1] % model.Vision.Patches == 0;

    private static bool IsPooled(TensorData tensor, FlamingoModel model) => tensor.Dtype == TensorDtype.Float32 && tensor.Shape.AsSpan().SequenceEqual([model.Vision.PooledWidth]);
}
