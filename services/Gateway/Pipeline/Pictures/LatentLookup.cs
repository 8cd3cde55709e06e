using System.Collections.Immutable;
using Flamingo.Abstractions;
using Flamingo.Gateway.LatentCache;
using Flamingo.Gateway.Tenants;
using Flamingo.Stages;

namespace Flamingo.Gateway.Pictures;

/// <param name="Picture">With its files, if it is to be encoded.</param>
/// <param name="Key">By the weights described.</param>
/// <param name="Held">Latents that are cached already, where only an extra is missing: they stay, so that no answer changes.</param>
/// <param name="Shared">Whether Redis answered that it does not hold it: then other gateways may be asked to wait.</param>
/// <param name="Lease">What makes the others wait; goes back when the latents have been put, or will not be.</param>
public sealed record PictureToEncode(RequestedPicture Picture, string Key, LatentEntry? Held, bool Shared, Lease? Lease = null);

/// <summary>What the tiers hold of a picture: its latents, and the extras that a request needs.</summary>
public sealed class LatentLookup(LatentTiers tiers)
{
    /// <returns>Found is null unless everything needed is held.</returns>
    public Task<(ResolvedPicture? Found, PictureToEncode Miss)> LookAsync(RequestedPicture picture, FlamingoModel model, Tenant tenant, CancellationToken cancellation)
    {
        var key = LatentKey.Compute(
            picture.Id, model.Vision.WeightsDigest, model.Resampler.WeightsDigest, model.Vision.PreprocessingVersion, model.Resampler.LatentDtype, tenant.Salt);
        return LookAsync(picture, key, model, (part, fits) => tiers.GetAsync(part, fits, cancellation));
    }

    /// <summary>The same for what was a miss before, counted as no lookup.</summary>
    public Task<(ResolvedPicture? Found, PictureToEncode Miss)> LookAgainAsync(PictureToEncode miss, FlamingoModel model) => LookAsync(miss.Picture, miss.Key, model, tiers.GetAgainAsync);

    /// <summary>The same by a glance at the memory of this process.</summary>
    public ResolvedPicture? InMemory(PictureToEncode miss, FlamingoModel model) => Resolve(
        miss.Picture, miss.Key, tiers.InMemory(miss.Key), PictureSource.Memory, tiers.InMemory(LatentKey.OfAttention(miss.Key)), tiers.InMemory(LatentKey.OfPooled(miss.Key)), model);

    private static Task<LatentFind> Nothing { get; } = Task.FromResult(default(LatentFind));

    private static async Task<(ResolvedPicture? Found, PictureToEncode Miss)> LookAsync(RequestedPicture picture, string key, FlamingoModel model, Func<string, LatentFit, Task<LatentFind>> look)
    {
        var finds = await Task.WhenAll(
            look(key, (dtype, shape) => AreLatents(dtype, shape, model)),
            !picture.Extras.HasFlag(PictureExtras.Attention) ? Nothing : look(LatentKey.OfAttention(key), (dtype, shape) => IsAttention(dtype, shape, model)),
            !picture.Extras.HasFlag(PictureExtras.Pooled) ? Nothing : look(LatentKey.OfPooled(key), (dtype, shape) => IsPooled(dtype, shape, model)));
        var latents = finds[0];
        return (Resolve(picture, key, latents.Entry, latents.Source, finds[1].Entry, finds[2].Entry, model), new PictureToEncode(picture, key, latents.Entry, finds.Any(find => find.Answered)));
    }

    private static ResolvedPicture? Resolve(RequestedPicture picture, string key, LatentEntry? latents, PictureSource source, LatentEntry? attention, LatentEntry? pooled, FlamingoModel model)
    {
        if (latents is null
            || (picture.Extras.HasFlag(PictureExtras.Attention) && attention is null)
            || (picture.Extras.HasFlag(PictureExtras.Pooled) && pooled is null)) return null;
        return new ResolvedPicture(key, latents.Latents, source, LatentOrigin.Of(model), latents.Cost) { Attention = attention?.Latents.Tensor, Pooled = pooled?.Latents.Tensor };
    }

    private static bool AreLatents(TensorDtype dtype, ImmutableArray<int> shape, FlamingoModel model) =>
        dtype == model.Resampler.LatentDtype && shape.AsSpan().SequenceEqual([model.Resampler.Latents, model.Resampler.Width]);

    // over the patches of the grid, without the class token
    private static bool IsAttention(TensorDtype dtype, ImmutableArray<int> shape, FlamingoModel model)
    {
        var side = (int)Math.Sqrt(model.Vision.Patches);
        return dtype == TensorDtype.Float32 && shape.Length == 2 && shape[0] == model.Resampler.Latents && shape[1] % (side * side) == 0
            && shape[1] / (side * side) is >= 1 and var frames && frames <= Math.Max(model.Vision.MaxFrames, 1);
    }

    private static bool IsPooled(TensorDtype dtype, ImmutableArray<int> shape, FlamingoModel model) => dtype == TensorDtype.Float32 && shape.AsSpan().SequenceEqual([model.Vision.PooledWidth]);
}
