using System.Collections.Immutable;
using Flamingo.Abstractions;
using Flamingo.Gateway.Tenants;

namespace Flamingo.Gateway.Latents;

/// <summary>A picture or clip whose latents a request needs.</summary>
/// <param name="Id">Its public name.</param>
/// <param name="Input">Its files; null where the caller sent the id alone.</param>
/// <param name="Field">Name of the first field that held it, for errors.</param>
public sealed record RequestedPicture(string Id, VisualInput? Input, string Field)
{
    /// <summary>Whether the request also needs what each latent read of the patches, because it draws attention maps.</summary>
    public bool NeedsAttention { get; init; }

    /// <summary>Whether the request also needs CLIP's pooled and projected embedding.</summary>
    public bool NeedsPooled { get; init; }

    /// <summary>
    /// Each picture once, in the order of first places: with its files if any place brought them, and with all that any place needs.
    /// </summary>
    public static IReadOnlyList<RequestedPicture> Distinct(IEnumerable<RequestedPicture> pictures) =>
    [
        .. pictures.GroupBy(picture => picture.Id, StringComparer.Ordinal).Select(same =>
            (same.FirstOrDefault(picture => picture.Input is not null) ?? same.First()) with
            {
                NeedsAttention = same.Any(picture => picture.NeedsAttention), NeedsPooled = same.Any(picture => picture.NeedsPooled),
            }),
    ];

    /// <summary>The key of its latents under the weights that the stages describe.</summary>
    internal string KeyUnder(FlamingoModel model, Tenant tenant) => LatentKey.Compute(
        Id, model.Vision.WeightsDigest, model.Resampler.WeightsDigest, model.Vision.PreprocessingVersion, model.Resampler.LatentDtype,
        tenant.Salt);

    /// <summary>Whether an answer to this request also answers <paramref name="other"/>, which asks for the same picture.</summary>
    internal bool Covers(RequestedPicture other) =>
        (NeedsAttention || !other.NeedsAttention) && (NeedsPooled || !other.NeedsPooled);

    /// <summary>
    /// The cached values that together answer this request: the key of each, and what dtype and shape it must have under this model.
    /// </summary>
    /// <param name="key">Of the picture's latents, under this model.</param>
    internal IEnumerable<(string Key, Func<TensorDtype, ImmutableArray<int>, bool> Fits)> Values(string key, FlamingoModel model)
    {
        yield return (key, (dtype, shape) =>
            dtype == model.Resampler.LatentDtype && shape.AsSpan().SequenceEqual([model.Resampler.Latents, model.Resampler.Width]));
        if (NeedsAttention) yield return (LatentKey.OfAttention(key), (dtype, shape) => IsAttention(dtype, shape, model));
        if (NeedsPooled)
            yield return (LatentKey.OfPooled(key), (dtype, shape) =>
                dtype == TensorDtype.Float32 && shape.AsSpan().SequenceEqual([model.Vision.PooledWidth]));
    }

    // [latents, frames × patches of the square grid], without the class token
    private static bool IsAttention(TensorDtype dtype, ImmutableArray<int> shape, FlamingoModel model)
    {
        var side = (int)Math.Sqrt(model.Vision.Patches);
        return dtype == TensorDtype.Float32 && shape.Length == 2 && shape[0] == model.Resampler.Latents && shape[1] % (side * side) == 0
            && shape[1] / (side * side) is >= 1 and var frames && frames <= Math.Max(model.Vision.MaxFrames, 1);
    }
}
