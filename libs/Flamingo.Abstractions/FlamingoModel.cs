namespace Flamingo.Abstractions;

public sealed record FlamingoModel(VisionEncoderDescription Vision, ResamplerDescription Resampler, LanguageModelDescription Language);

/// <param name="PreprocessingVersion">Version of decoding and preprocessing; it changes whenever the same file would give
/// different pixels.</param>
/// <param name="MaxPixels">Largest width × height, in pixels, as the file's header states it.</param>
/// <param name="MaxPictureBytes">Largest encoded file, in bytes.</param>
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

    /// <summary>How transparency is handled: drop (the alpha channel is ignored), white or black (the background).</summary>
    public string Alpha { get; init; } = "drop";

    /// <summary>Whether a picture is rotated as its EXIF orientation says: exif or ignore.</summary>
    public string Orientation { get; init; } = "exif";
}

/// <param name="MaxFrames">Most frames of a video; 1 where the checkpoint has no frame embeddings.</param>
/// <param name="MaxItems">Most pictures in one call.</param>
public sealed record ResamplerDescription(
    string ModelId, string WeightsDigest, int FeatureWidth, int Latents, int Width, int MaxFrames, TensorDtype LatentDtype, int MaxItems);

/// <param name="ContextLength">Largest number of tokens of prompt and answer together.</param>
/// <param name="ImageToken">The text that stands for a picture, for example <c>&lt;image&gt;</c>.</param>
/// <param name="PictureMarkers">All texts that a text segment must not contain, including the image token.</param>
/// <param name="EndOfChunkToken">The token text that ends an example and an answer.</param>
public sealed record LanguageModelDescription(
    string ModelId, string WeightsDigest, int VocabularySize, int ContextLength, int Latents, int LatentWidth,
    string ImageToken, IReadOnlyList<string> PictureMarkers, string EndOfChunkToken, int MaxCandidates)
{
    /// <summary>Number of gated cross-attention blocks.</summary>
    public int CrossAttentionLayers { get; init; }

    public int CrossAttentionHeads { get; init; }

    /// <summary>Most answers or beams of one request.</summary>
    public int MaxSamples { get; init; }

    /// <summary>Longest time that a prefix may be pinned.</summary>
    public TimeSpan MaxPin { get; init; }

    /// <summary>
    /// Texts of special tokens. <see cref="ITasks"/> splits such a text in a user's input, so that it is not tokenized as the
    /// special token.
    /// </summary>
    public IReadOnlyList<string> SpecialTokens { get; init; } = [];

    /// <summary>The prompt templates that this checkpoint was trained with.</summary>
    public PromptTemplates Prompts { get; init; } = new();
}
