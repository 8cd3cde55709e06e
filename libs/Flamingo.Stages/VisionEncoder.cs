using Flamingo.Abstractions;

namespace Flamingo.Stages;

/// <summary>The vision encoder stage, which turns encoded pictures into patch features.</summary>
public interface IVisionEncoder
{
    Task<VisionEncoderDescription> DescribeAsync(CancellationToken cancellation);

    /// <summary>Decodes, preprocesses and encodes pictures and clips. Pictures of several calls may be computed in one batch.</summary>
    /// <exception cref="FlamingoException">
    /// InvalidArgument: pictures that cannot be decoded or are too large. Every such picture is named as <c>pictures[i]</c>.
    /// </exception>
    Task<VisionEncoding> EncodeAsync(VisionEncodeRequest request, CancellationToken cancellation);

    /// <summary>Returns counts since the stage started. With several replicas, the counts are those of one replica.</summary>
    Task<VisionEncoderStatistics> GetStatisticsAsync(CancellationToken cancellation);
}

/// <param name="Pictures">At least one.</param>
/// <param name="IncludePooled">Whether to return CLIP's pooled and projected embedding too.</param>
public sealed record VisionEncodeRequest(IReadOnlyList<VisualInput> Pictures, bool IncludePooled = false);

/// <param name="WeightsDigest">Digest of the weights that computed this result; only weights that affect latents are part of it.</param>
public sealed record VisionEncoding(string WeightsDigest, IReadOnlyList<PictureFeatures> Pictures);

/// <param name="Features">[frames, patches, width]</param>
/// <param name="Pooled">f32 [pooled width]; null unless requested. For a clip it is the mean over the frames.</param>
public sealed record PictureFeatures(TensorData Features, TensorData? Pooled);

/// <param name="Pictures">Number of pictures and clips whose features were computed, over all callers.</param>
/// <param name="Frames">Number of frames of these pictures and clips.</param>
/// <param name="Batches">Number of forward passes.</param>
public sealed record VisionEncoderStatistics(long Pictures, long Frames, long Batches);
