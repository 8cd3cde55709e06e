using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Gateway.Latents;

/// <summary>The latents of one <see cref="RequestedPicture"/>.</summary>
/// <param name="Id">Public id of the picture.</param>
/// <param name="Key">The latent key under the weights that computed these latents.</param>
/// <param name="Latents">[latents, width]</param>
/// <param name="Source">Where the latents came from; Encoded also if another request encoded the picture meanwhile.</param>
public sealed record PictureLatents(string Id, string Key, ChecksummedLatents Latents, PictureSource Source)
{
    /// <summary>
    /// Digests of the weights that computed the latents. They differ from the digests in the stages' descriptions if a stage has
    /// been replaced.
    /// </summary>
    public required (string Vision, string Resampler) Weights { get; init; }

    /// <summary>Time that the stages took to encode the picture, in this or an earlier request.</summary>
    public required TimeSpan Cost { get; init; }

    /// <summary>What callers learn of this picture.</summary>
    public PictureReport Report => new(Id, Source) { Cost = Cost };

    /// <summary>Attention of each latent over the patches, f32 [latents, frames × patches]; null unless requested.</summary>
    public TensorData? Attention { get; init; }

    /// <summary>CLIP's pooled and projected embedding, f32 [pooled width]; null unless requested.</summary>
    public TensorData? Pooled { get; init; }

    /// <summary>Time of the lookups in both tiers of the cache.</summary>
    public TimeSpan Lookup { get; init; }

    /// <summary>
    /// Time in the vision encoder until the features of this picture were computed, including earlier calls of the same request;
    /// or the time spent waiting for another request's encoding.
    /// </summary>
    public TimeSpan Vision { get; init; }

    /// <summary>
    /// Time in the resampler until the latents of this picture were computed, including earlier calls of the same request.
    /// </summary>
    public TimeSpan Resample { get; init; }

    /// <summary>Whether another request, at this or another gateway, was already encoding the picture.</summary>
    public bool Waited { get; init; }

    /// <param name="key">Key of the picture's latents under this model.</param>
    /// <param name="held">Cached values by key.</param>
    /// <returns>Null unless every value that the request needs for the picture is held.</returns>
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

    /// <summary>Returns the wall-clock times of the call that returned these pictures, which were looked up and encoded together.</summary>
    public static (TimeSpan Lookup, TimeSpan Vision, TimeSpan Resample) Times(IReadOnlyCollection<PictureLatents> pictures) =>
        pictures.Count == 0 ? default
        : (pictures.Max(picture => picture.Lookup), pictures.Max(picture => picture.Vision), pictures.Max(picture => picture.Resample));

    /// <summary>Summarizes what the latent cache did for these pictures. A repeated picture counts once.</summary>
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
