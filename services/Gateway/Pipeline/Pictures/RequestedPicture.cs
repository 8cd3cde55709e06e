using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Gateway.Pictures;

/// <summary>What a request needs of a picture besides its latents.</summary>
[Flags]
public enum PictureExtras
{
    None = 0,

    /// <summary>What each latent read of the patches: an attention map will be drawn.</summary>
    Attention = 1,

    /// <summary>CLIP's pooled and projected embedding.</summary>
    Pooled = 2,
}

/// <summary>A picture or clip of a request: its id, and its files if the caller sent them.</summary>
/// <param name="Field">Name of the first field that held it, for errors.</param>
public sealed record RequestedPicture(string Id, VisualInput? Input, string Field, PictureExtras Extras = PictureExtras.None)
{
    /// <summary>What stands in a prompt twice is resolved once, with its files if any place brought them and with all that any place needs.</summary>
    public static IReadOnlyList<RequestedPicture> Distinct(IEnumerable<RequestedPicture> pictures) =>
        [.. pictures.GroupBy(picture => picture.Id, StringComparer.Ordinal).Select(same =>
            (same.FirstOrDefault(picture => picture.Input is not null) ?? same.First()) with { Extras = same.Aggregate(PictureExtras.None, (all, picture) => all | picture.Extras) })];
}

/// <summary>Digests of the weights that made latents.</summary>
public sealed record LatentOrigin(string Vision, string Resampler)
{
    /// <summary>Of latents that a model as described makes.</summary>
    public static LatentOrigin Of(FlamingoModel model) => new(model.Vision.WeightsDigest, model.Resampler.WeightsDigest);
}

/// <param name="Key">The key these latents truly have, by the weights that made them.</param>
/// <param name="Origin">By what made them, not by what is described: a stage may just have been replaced.</param>
/// <param name="Cost">What encoding it took in the stages, whenever that was.</param>
public sealed record ResolvedPicture(string Key, ChecksummedLatents Latents, PictureSource Source, LatentOrigin Origin, TimeSpan Cost)
{
    /// <summary>What each latent read of the patches, f32 [latents, frames × patches]; where asked for.</summary>
    public TensorData? Attention { get; init; }

    /// <summary>CLIP's pooled and projected embedding, f32 [pooled width]; where asked for.</summary>
    public TensorData? Pooled { get; init; }
}

/// <summary>Pictures by id, and the times of one resolution.</summary>
/// <param name="Vision">Waiting for another request's encoding of the same picture counts here.</param>
public sealed record Resolution(IReadOnlyDictionary<string, ResolvedPicture> Pictures, TimeSpan Lookup, TimeSpan Vision, TimeSpan Resample)
{
    public static Resolution Empty { get; } = new(new Dictionary<string, ResolvedPicture>(), TimeSpan.Zero, TimeSpan.Zero, TimeSpan.Zero);

    /// <summary>Pictures that another request was encoding already.</summary>
    public int Waits { get; init; }

    /// <summary>What the latent cache did, over distinct pictures.</summary>
    public CacheUse Cache => new(
        Count(PictureSource.Memory), Count(PictureSource.Redis), Count(PictureSource.Encoded), Waits,
        Pictures.Values.Where(picture => picture.Source != PictureSource.Encoded).Aggregate(TimeSpan.Zero, (sum, picture) => sum + picture.Cost));

    /// <summary>Both together, one resolved after the other; what both hold is as the first found it.</summary>
    public Resolution With(Resolution later) => new(
        Pictures.Concat(later.Pictures.Where(picture => !Pictures.ContainsKey(picture.Key))).ToDictionary(StringComparer.Ordinal), Lookup + later.Lookup, Vision + later.Vision, Resample + later.Resample)
    {
        Waits = Waits + later.Waits,
    };

    /// <summary>What made the latents: as described, unless a newcomer among the replicas made some of them; then that one is named.</summary>
    public LatentOrigin Origin(FlamingoModel model) =>
        Pictures.Values.Select(picture => picture.Origin).FirstOrDefault(origin => origin != LatentOrigin.Of(model)) ?? LatentOrigin.Of(model);

    private int Count(PictureSource source) => Pictures.Values.Count(picture => picture.Source == source);
}
