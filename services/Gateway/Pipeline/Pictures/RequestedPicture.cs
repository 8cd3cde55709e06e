using Flamingo.Stages;

namespace Flamingo.Gateway.Pictures;

/// <summary>A picture of a request: its id, and its file if the caller sent it.</summary>
/// <param name="Field">Name of the first field that held it, for errors.</param>
/// <param name="IncludeAttention">Whether an attention map will be drawn over it.</param>
public sealed record RequestedPicture(string Id, ReadOnlyMemory<byte>? File, string Field, bool IncludeAttention = false);

/// <summary>Digests of the weights that made latents.</summary>
public sealed record LatentOrigin(string Vision, string Resampler)
{
    /// <summary>Of latents that a model as described makes.</summary>
    public static LatentOrigin Of(FlamingoModel model) => new(model.Vision.WeightsDigest, model.Resampler.WeightsDigest);
}

/// <param name="Key">The key these latents truly have, by the weights that made them.</param>
/// <param name="Origin">By what made them, not by what is described: a stage may just have been replaced.</param>
/// <param name="Attention">What each latent read of the patches, f32 [latents, frames × patches]; where asked for.</param>
public sealed record ResolvedPicture(string Key, ChecksummedLatents Latents, PictureSource Source, LatentOrigin Origin, TensorData? Attention = null);

/// <summary>Pictures by id, and the times of one resolution.</summary>
/// <param name="Vision">Waiting for another request's encoding of the same picture counts here.</param>
public sealed record Resolution(IReadOnlyDictionary<string, ResolvedPicture> Pictures, TimeSpan Lookup, TimeSpan Vision, TimeSpan Resample)
{
    /// <summary>What made the latents: as described, unless a newcomer among the replicas made some of them; then that one is named.</summary>
    public LatentOrigin Origin(FlamingoModel model) =>
        Pictures.Values.Select(picture => picture.Origin).FirstOrDefault(origin => origin != LatentOrigin.Of(model)) ?? LatentOrigin.Of(model);
}
