using Flamingo.Abstractions;

namespace Flamingo.Stages;

/// <summary>Patch features to latents.</summary>
public interface IResampler
{
    Task<ResamplerDescription> DescribeAsync(CancellationToken cancellation);

    /// <summary>Resamples each picture or video on its own; several ride in one batch.</summary>
    /// <exception cref="FlamingoException">
    /// InvalidArgument: wrong shape, or more frames than the checkpoint has frame embeddings for.
    /// </exception>
    Task<Resampling> ResampleAsync(ResampleRequest request, CancellationToken cancellation);
}

/// <param name="Features">Each [frames, patches, feature width]; at least one.</param>
/// <param name="IncludeAttention">Whether to return what each latent read of the patches.</param>
public sealed record ResampleRequest(IReadOnlyList<TensorData> Features, bool IncludeAttention = false);

/// <param name="WeightsDigest">Digest of the weights that made this answer.</param>
/// <param name="Latents">Each [latents, width], rounded to the latent dtype.</param>
/// <param name="Attention">
/// Where asked for, each f32 [latents, frames × patches]: the last layer's attention, mean over heads, patches alone, each row
/// scaled to sum one.
/// </param>
public sealed record Resampling(string WeightsDigest, IReadOnlyList<TensorData> Latents, IReadOnlyList<TensorData> Attention);
