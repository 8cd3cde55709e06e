namespace Flamingo.Stages;

/// <summary>Pixels to patch features.</summary>
public interface IVisionEncoder
{
    Task<VisionEncoderDescription> DescribeAsync(CancellationToken cancellation);

    /// <summary>Decodes, preprocesses and encodes pictures and clips; those of several calls may share a batch.</summary>
    /// <exception cref="StageException">InvalidArgument: pictures that cannot be decoded or are too large, all of them named as <c>pictures[i]</c>.</exception>
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

/// <param name="PreprocessingVersion">Changes whenever decoding or preprocessing would change pixels.</param>
/// <param name="MaxPixels">Largest width × height by the file's header.</param>
/// <param name="MaxPictureBytes">Largest encoded file.</param>
/// <param name="MaxPictures">Most pictures in one call.</param>
/// <param name="MaxFrames">Most frames taken from one clip.</param>
public sealed record VisionEncoderDescription(
    string ModelId, string WeightsDigest, string PreprocessingVersion, int ImageSize, int Patches, int Width, int PooledWidth,
    TensorDtype Dtype, long MaxPixels, int MaxPictureBytes, int MaxPictures, int MaxFrames = 1)
{
    /// <summary>
    /// shortest_side_crop: the short side is scaled to <see cref="ImageSize"/> and the middle square is cut out. square: the
    /// whole picture is made a square.
    /// </summary>
    public string Resize { get; init; } = "shortest_side_crop";

    /// <summary>What becomes of transparency: drop, white or black.</summary>
    public string Alpha { get; init; } = "drop";

    /// <summary>Whether a picture is turned upright by the orientation that EXIF tells: exif or ignore.</summary>
    public string Orientation { get; init; } = "exif";
}

/// <param name="Pictures">Pictures and clips whose features were computed, whoever asked.</param>
/// <param name="Frames">Their frames.</param>
/// <param name="Batches">Forward passes.</param>
public sealed record VisionEncoderStatistics(long Pictures, long Frames, long Batches);
