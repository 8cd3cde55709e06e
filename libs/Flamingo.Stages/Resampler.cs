namespace Flamingo.Stages;

/// <summary>Patch features to latents.</summary>
public interface IResampler
{
    Task<ResamplerDescription> DescribeAsync(CancellationToken cancellation);

    /// <summary>Resamples each picture or video on its own; several ride in one batch.</summary>
    /// <param name="features">Each [frames, patches, feature width]; at least one.</param>
    /// <exception cref="StageException">InvalidArgument: wrong shape, or more frames than the checkpoint has frame embeddings for.</exception>
    Task<Resampling> ResampleAsync(IReadOnlyList<TensorData> features, CancellationToken cancellation);
}

/// <param name="WeightsDigest">Digest of the weights that made this answer.</param>
/// <param name="Latents">Each [latents, width], rounded to the latent dtype.</param>
public sealed record Resampling(string WeightsDigest, IReadOnlyList<TensorData> Latents);

/// <param name="MaxFrames">Most frames of a video; 1 where the checkpoint has no frame embeddings.</param>
/// <param name="MaxItems">Most pictures in one call.</param>
public sealed record ResamplerDescription(
    string ModelId, string WeightsDigest, int FeatureWidth, int Latents, int Width, int MaxFrames, TensorDtype LatentDtype, int MaxItems);
