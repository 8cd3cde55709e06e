namespace Flamingo.Abstractions;

public sealed record FlamingoModel(VisionEncoderDescription Vision, ResamplerDescription Resampler, LanguageModelDescription Language);

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

/// <param name="MaxFrames">Most frames of a video; 1 where the checkpoint has no frame embeddings.</param>
/// <param name="MaxItems">Most pictures in one call.</param>
public sealed record ResamplerDescription(
    string ModelId, string WeightsDigest, int FeatureWidth, int Latents, int Width, int MaxFrames, TensorDtype LatentDtype, int MaxItems);

/// <param name="ContextLength">Most tokens of prompt and answer together.</param>
/// <param name="ImageToken">The text that stands for a picture, for example <c>&lt;image&gt;</c>.</param>
/// <param name="PictureMarkers">All texts that may not stand in a text segment, the image token among them.</param>
/// <param name="EndOfChunkToken">Ends an example and an answer.</param>
public sealed record LanguageModelDescription(
    string ModelId, string WeightsDigest, int VocabularySize, int ContextLength, int Latents, int LatentWidth,
    string ImageToken, IReadOnlyList<string> PictureMarkers, string EndOfChunkToken, int MaxCandidates)
{
    /// <summary>Gated blocks.</summary>
    public int CrossAttentionLayers { get; init; }

    public int CrossAttentionHeads { get; init; }

    /// <summary>Most answers or beams of one request.</summary>
    public int MaxSamples { get; init; }

    /// <summary>Longest time that a prefix may be pinned.</summary>
    public TimeSpan MaxPin { get; init; }

    /// <summary>Texts that are one token with a meaning of its own; <see cref="ITasks"/> breaks them where a user wrote them.</summary>
    public IReadOnlyList<string> SpecialTokens { get; init; } = [];

    /// <summary>How this checkpoint was trained to be asked.</summary>
    public PromptTemplates Prompts { get; init; } = new();
}
