using System.Collections.Immutable;
using Flamingo.Abstractions;
using Flamingo.Gateway.Tenants;

namespace Flamingo.Gateway.Latents;

/// <summary>A picture or clip whose latents a request needs.</summary>
/// <param name="Id">Public id of the picture.</param>
/// <param name="Input">Files of the picture; null if the caller sent only the id.</param>
/// <param name="Field">The first field of the request that holds the picture, for errors.</param>
public sealed record RequestedPicture(string Id, VisualInput? Input, string Field)
{
    /// <summary>Whether the request also needs the attention of each latent over the patches, to compute attention maps.</summary>
    public bool NeedsAttention { get; init; }

    /// <summary>Whether the request also needs CLIP's pooled and projected embedding.</summary>
    public bool NeedsPooled { get; init; }

    /// <summary>
    /// Returns each picture once, in the order of first occurrence. The result has the picture's files if any occurrence has
    /// them, and needs everything that any occurrence needs.
    /// </summary>
    public static IReadOnlyList<RequestedPicture> Distinct(IEnumerable<RequestedPicture> pictures) =>
    [
        .. pictures.GroupBy(picture => picture.Id, StringComparer.Ordinal).Select(same =>
            (same.FirstOrDefault(picture => picture.Input is not null) ?? same.First()) with
            {
                NeedsAttention = same.Any(picture => picture.NeedsAttention), NeedsPooled = same.Any(picture => picture.NeedsPooled),
            }),
    ];

    /// <summary>Returns the exception that asks the caller to send pictures again.</summary>
    /// <param name="unknown">Ids of the pictures, grouped by whether their latents are held and only other data is missing.</param>
    internal static FlamingoException Missing(ILookup<bool, string> unknown)
    {
        var (absent, partial, problems) = (unknown[false].ToList(), unknown[true].ToList(), new List<string>());
        if (absent.Count > 0)
            problems.Add($"The service no longer holds {(absent.Count == 1 ? "this picture" : "these pictures")}: "
                + $"{string.Join(", ", absent)}.");
        if (partial.Count > 0)
            problems.Add($"The service holds latents without the data for attention maps or embeddings: {string.Join(", ", partial)}.");
        return new FlamingoException(FlamingoErrorKind.NotFound, $"Send the bytes again. {string.Join(' ', problems)}")
        {
            Missing = [.. absent, .. partial],
        };
    }

    /// <summary>Returns the key of the picture's latents under the weights in the stages' descriptions.</summary>
    internal string KeyUnder(FlamingoModel model, Tenant tenant) => LatentKey.Compute(
        Id, model.Vision.WeightsDigest, model.Resampler.WeightsDigest, model.Vision.PreprocessingVersion, model.Resampler.LatentDtype,
        tenant.Salt);

    /// <summary>Whether the latents for this request also serve <paramref name="other"/>, a request for the same picture.</summary>
    internal bool Covers(RequestedPicture other) =>
        (NeedsAttention || !other.NeedsAttention) && (NeedsPooled || !other.NeedsPooled);

    /// <summary>
    /// Returns the cached values that this request needs: the key of each, and a check of its dtype and shape under this model.
    /// </summary>
    /// <param name="key">Key of the picture's latents under this model.</param>
    internal IEnumerable<(string Key, Func<TensorDtype, ImmutableArray<int>, bool> Fits)> Values(string key, FlamingoModel model)
    {
        yield return (key, (dtype, shape) =>
            dtype == model.Resampler.LatentDtype && shape.AsSpan().SequenceEqual([model.Resampler.Latents, model.Resampler.Width]));
        if (NeedsAttention) yield return (LatentKey.OfAttention(key), (dtype, shape) => IsAttention(dtype, shape, model));
        if (NeedsPooled)
            yield return (LatentKey.OfPooled(key), (dtype, shape) =>
                dtype == TensorDtype.Float32 && shape.AsSpan().SequenceEqual([model.Vision.PooledWidth]));
    }

    // The shape is [latents, frames × patches of the square grid], without the class token.
    private static bool IsAttention(TensorDtype dtype, ImmutableArray<int> shape, FlamingoModel model)
    {
        var side = (int)Math.Sqrt(model.Vision.Patches);
        return dtype == TensorDtype.Float32 && shape.Length == 2 && shape[0] == model.Resampler.Latents && shape[1] % (side * side) == 0
            && shape[1] / (side * side) is >= 1 and var frames && frames <= Math.Max(model.Vision.MaxFrames, 1);
    }
}
