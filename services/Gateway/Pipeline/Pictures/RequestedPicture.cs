using Flamingo.Stages;

namespace Flamingo.Gateway.Pictures;

/// <summary>A picture of a request: its id, and its file if the caller sent it.</summary>
/// <param name="Field">Name of the first field that held it, for errors.</param>
/// <param name="IncludeAttention">Whether an attention map will be drawn over it.</param>
public sealed record RequestedPicture(string Id, ReadOnlyMemory<byte>? File, string Field, bool IncludeAttention = false);

/// <param name="Key">The key these latents truly have, by the weights that made them.</param>
/// <param name="Attention">What each latent read of the patches, f32 [latents, frames × patches]; where asked for.</param>
public sealed record ResolvedPicture(string Key, ChecksummedLatents Latents, PictureSource Source, TensorData? Attention = null);

/// <summary>Pictures by id, and the times of one resolution.</summary>
/// <param name="Vision">Waiting for another request's encoding of the same picture counts here.</param>
public sealed record Resolution(IReadOnlyDictionary<string, ResolvedPicture> Pictures, TimeSpan Lookup, TimeSpan Vision, TimeSpan Resample);
