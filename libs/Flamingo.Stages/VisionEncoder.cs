namespace Flamingo.Stages;

/// <summary>Pixels to patch features.</summary>
public interface IVisionEncoder
{
    Task<VisionEncoderDescription> DescribeAsync(CancellationToken cancellation);

    /// <summary>Decodes, preprocesses and encodes pictures in one batch.</summary>
    /// <exception cref="StageException">InvalidArgument: pictures that cannot be decoded or are too large, all of them named as <c>pictures[i]</c>.</exception>
    Task<VisionEncoding> EncodeAsync(VisionEncodeRequest request, CancellationToken cancellation);
}

/// <param name="Pictures">Encoded files (JPEG, PNG, WebP, GIF, BMP); at least one.</param>
/// <param name="IncludePooled">Whether to return CLIP's pooled and projected embedding too.</param>
public sealed record VisionEncodeRequest(IReadOnlyList<ReadOnlyMemory<byte>> Pictures, bool IncludePooled = false);

/// <param name="WeightsDigest">Digest of the weights that made this answer (those that shape latents).</param>
public sealed record VisionEncoding(string WeightsDigest, IReadOnlyList<PictureFeatures> Pictures);

/// <param name="Features">[frames, patches, width]</param>
/// <param name="Pooled">[pooled width], where asked for.</param>
public sealed record PictureFeatures(TensorData Features, TensorData? Pooled);

/// <param name="PreprocessingVersion">Changes whenever decoding or preprocessing would change pixels.</param>
/// <param name="MaxPixels">Largest width × height by the file's header.</param>
/// <param name="MaxPictureBytes">Largest encoded file.</param>
/// <param name="MaxPictures">Most pictures in one call.</param>
public sealed record VisionEncoderDescription(
    string ModelId, string WeightsDigest, string PreprocessingVersion, int ImageSize, int Patches, int Width, int PooledWidth,
    TensorDtype Dtype, long MaxPixels, int MaxPictureBytes, int MaxPictures);
