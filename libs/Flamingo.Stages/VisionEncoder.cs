using Flamingo.Abstractions;

namespace Flamingo.Stages;

/// <summary>Pixels to patch features.</summary>
public interface IVisionEncoder
{
    Task<VisionEncoderDescription> DescribeAsync(CancellationToken cancellation);

    /// <summary>Decodes, preprocesses and encodes pictures and clips; those of several calls may share a batch.</summary>
    /// <exception cref="FlamingoException">
    /// InvalidArgument: pictures that cannot be decoded or are too large, all of them named as <c>pictures[i]</c>.
    /// </exception>
    Task<VisionEncoding> EncodeAsync(VisionEncodeRequest request, CancellationToken cancellation);

    /// <summary>Counts since the stage started; of one replica where there are several.</summary>
    Task<VisionEncoderStatistics> GetStatisticsAsync(CancellationToken cancellation);
}

/// <param name="Pictures">At least one.</param>
/// <param name="IncludePooled">Whether to return CLIP's pooled and projected embedding too.</param>
public sealed record VisionEncodeRequest(IReadOnlyList<VisualInput> Pictures, bool IncludePooled = false);

/// <param name="WeightsDigest">Digest of the weights that made this answer (those that shape latents).</param>
public sealed record VisionEncoding(string WeightsDigest, IReadOnlyList<PictureFeatures> Pictures);

/// <param name="Features">[frames, patches, width]</param>
/// <param name="Pooled">f32 [pooled width], where asked for; of a clip the mean over its frames.</param>
public sealed record PictureFeatures(TensorData Features, TensorData? Pooled);

/// <param name="Pictures">Pictures and clips whose features were computed, whoever asked.</param>
/// <param name="Frames">Their frames.</param>
/// <param name="Batches">Forward passes.</param>
public sealed record VisionEncoderStatistics(long Pictures, long Frames, long Batches);
