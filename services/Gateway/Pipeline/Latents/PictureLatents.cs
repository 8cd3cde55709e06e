using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Gateway.Latents;

/// <summary>The answer to one <see cref="RequestedPicture"/>.</summary>
/// <param name="Id">Public name of the picture.</param>
/// <param name="Key">The key that these latents truly have, under the weights that made them.</param>
/// <param name="Latents">[latents, width]</param>
/// <param name="Source">Encoded also where another request was encoding the picture.</param>
public sealed record PictureLatents(string Id, string Key, ChecksummedLatents Latents, PictureSource Source)
{
    /// <summary>
    /// Digests of the weights that made the latents, which need not be those of the stages' descriptions: a stage may have been replaced.
    /// </summary>
    public required (string Vision, string Resampler) Weights { get; init; }

    /// <summary>Time that the stages took to encode the picture, whenever that was.</summary>
    public required TimeSpan Cost { get; init; }

    /// <summary>What each latent read of the patches, f32 [latents, frames × patches]; where it was asked for.</summary>
    public TensorData? Attention { get; init; }

    /// <summary>CLIP's pooled and projected embedding, f32 [pooled width]; where it was asked for.</summary>
    public TensorData? Pooled { get; init; }

    /// <summary>From the question to the answer of both tiers of the cache.</summary>
    public TimeSpan Lookup { get; init; }

    /// <summary>
    /// Time in the vision encoder until this picture had its features, earlier calls of the same request included; or the time that
    /// another request's encoding was waited for.
    /// </summary>
    public TimeSpan Vision { get; init; }

    /// <summary>Time in the resampler until this picture had its latents, earlier calls of the same request included.</summary>
    public TimeSpan Resample { get; init; }

    /// <summary>Whether another request, here or at another gateway, was encoding the picture already.</summary>
    public bool Waited { get; init; }

    /// <param name="key">Of the picture's latents under this model.</param>
    /// <param name="held">Cached values by key.</param>
    /// <returns>Null unless everything that the request needs of the picture is held.</returns>
    internal static PictureLatents? Find(
        RequestedPicture picture, string key, IReadOnlyDictionary<string, LatentValue> held, FlamingoModel model, PictureSource source)
    {
        LatentValue? attention = null, pooled = null;
        if (!held.TryGetValue(key, out var latents)
            || (picture.NeedsAttention && !held.TryGetValue(LatentKey.OfAttention(key), out attention))
            || (picture.NeedsPooled && !held.TryGetValue(LatentKey.OfPooled(key), out pooled))) return null;
        return new PictureLatents(picture.Id, key, latents.Latents, source)
        {
            Weights = (model.Vision.WeightsDigest, model.Resampler.WeightsDigest),
            Cost = latents.Cost,
            Attention = attention?.Latents.Tensor,
            Pooled = pooled?.Latents.Tensor,
        };
    }

    /// <summary>Wall-clock times of the call that answered with these pictures, which were looked up and encoded together.</summary>
    public static (TimeSpan Lookup, TimeSpan Vision, TimeSpan Resample) Times(IReadOnlyCollection<PictureLatents> pictures) =>
        pictures.Count == 0 ? default
        : (pictures.Max(picture => picture.Lookup), pictures.Max(picture => picture.Vision), pictures.Max(picture => picture.Resample));

    /// <summary>What the latent cache did for these pictures; one that stands here twice counts once.</summary>
    public static CacheUse Use(IEnumerable<PictureLatents> pictures)
    {
        var (memory, redis, encoded, waits, saved) = (0, 0, 0, 0, TimeSpan.Zero);
        foreach (var picture in pictures.DistinctBy(picture => picture.Id))
        {
            if (picture.Source == PictureSource.Memory) memory++;
            else if (picture.Source == PictureSource.Redis) redis++;
            else encoded++;
            if (picture.Waited) waits++;
            if (picture.Source != PictureSource.Encoded) saved += picture.Cost;
        }

        return new CacheUse(memory, redis, encoded, waits, saved);
    }
}
