using Flamingo.Abstractions;

namespace Flamingo.Stages;

/// <summary>The resampler stage, which turns patch features into latents.</summary>
public interface IResampler
{
    Task<ResamplerDescription> DescribeAsync(CancellationToken cancellation);

    /// <summary>Resamples each picture or video independently of the others; several are computed in one batch.</summary>
    /// <exception cref="FlamingoException">
    /// InvalidArgument: wrong shape, or more frames than the checkpoint has frame embeddings for.
    /// </exception>
    Task<Resampling> ResampleAsync(ResampleRequest request, CancellationToken cancellation);
}

/// <param name="Features">At least one tensor, each [frames, patches, feature width].</param>
/// <param name="IncludeAttention">Whether to return the attention of each latent over the patches.</param>
public sealed record ResampleRequest(IReadOnlyList<TensorData> Features, bool IncludeAttention = false);

/// <param name="WeightsDigest">Digest of the weights that computed this result.</param>
/// <param name="Latents">Each [latents, width], rounded to the latent dtype.</param>
/// <param name="Attention">
/// Empty unless requested. Each is f32 [latents, frames × patches]: the last layer's attention, averaged over heads and
/// restricted to patches, with each row scaled to sum to one.
/// </param>
public sealed record Resampling(string WeightsDigest, IReadOnlyList<TensorData> Latents, IReadOnlyList<TensorData> Attention);
