using System.Text.Json.Serialization;

namespace Flamingo.Checkpoints;

/// <summary>
/// The content of <c>flamingo.json</c>: everything a stage must know of a checkpoint besides its weights. JSON names are snake_case.
/// </summary>
public sealed record ModelConfig
{
    public const int CurrentFormatVersion = 1;

    public required int FormatVersion { get; init; }

    public required string ModelId { get; init; }

    public required VisionConfig Vision { get; init; }

    public required ResamplerConfig Resampler { get; init; }

    public required LanguageConfig Language { get; init; }

    public required TokensConfig Tokens { get; init; }

    /// <summary>Null: what <see cref="PromptsConfig.ByLayout"/> knows of the layout.</summary>
    public PromptsConfig? Prompts { get; init; }

    /// <summary>Keys: vision, resampler, language.</summary>
    public required IReadOnlyDictionary<string, WeightsFile> Weights { get; init; }

    public required Provenance Provenance { get; init; }
}

/// <summary>A CLIP vision tower. Patches = (ImageSize / PatchSize)², plus one with the class token.</summary>
public sealed record VisionConfig
{
    public required int ImageSize { get; init; }

    public required int PatchSize { get; init; }

    public required int Width { get; init; }

    public required int Layers { get; init; }

    public required int Heads { get; init; }

    public required int FeedForwardWidth { get; init; }

    /// <summary>Width of the pooled and projected embedding; 0 where the checkpoint has none.</summary>
    public required int PooledWidth { get; init; }

    /// <summary>quick_gelu or gelu.</summary>
    public required string Activation { get; init; }

    public double LayerNormEpsilon { get; init; } = 1e-5;

    /// <summary>IDEFICS keeps the class token among the features; OpenFlamingo drops it.</summary>
    public bool ClassTokenInFeatures { get; init; }

    public required PreprocessingConfig Preprocessing { get; init; }
}

public sealed record PreprocessingConfig
{
    /// <summary>shortest_side_crop (open_clip) or square (IDEFICS).</summary>
    public required string Resize { get; init; }

    /// <summary>
    /// What becomes of transparency: drop (open_clip: colours as they stand beneath it), white (IDEFICS: laid over white) or
    /// black.
    /// </summary>
    public required string Alpha { get; init; }

    /// <summary>
    /// exif: a picture is turned upright as its EXIF data tells. ignore: it is taken as it lies in the file, as the original
    /// code does.
    /// </summary>
    public string Orientation { get; init; } = "exif";

    public required IReadOnlyList<float> Mean { get; init; }

    public required IReadOnlyList<float> Std { get; init; }
}

public sealed record ResamplerConfig
{
    /// <summary>Width of features and of latents.</summary>
    public required int Width { get; init; }

    public required int Layers { get; init; }

    public required int Latents { get; init; }

    public required int Heads { get; init; }

    public required int HeadWidth { get; init; }

    public required int FeedForwardWidth { get; init; }

    /// <summary>none (OpenFlamingo) or per_head (IDEFICS: LayerNorm with bias over each head of queries and keys).</summary>
    public string QueryKeyNorm { get; init; } = "none";

    /// <summary>gelu (OpenFlamingo) or relu (IDEFICS).</summary>
    public string Activation { get; init; } = "gelu";

    public double LayerNormEpsilon { get; init; } = 1e-5;

    /// <summary>Rows of frame_embs; 0 where the checkpoint has none.</summary>
    public int FrameEmbeddings { get; init; }

    /// <summary>Rows of media_time_embs; 0 where the checkpoint has none.</summary>
    public int MediaTimeEmbeddings { get; init; }

    /// <summary>float32, float16 or bfloat16: latents are rounded to it as they leave the Resampler.</summary>
    public string LatentDtype { get; init; } = "float32";

    /// <summary>A checkpoint without a resampler: a picture's features are its latents.</summary>
    [JsonIgnore]
    public bool PassesOn => Layers == 0;

    /// <param name="latents">Features of one picture.</param>
    public static ResamplerConfig PassingOn(int width, int latents) =>
        new() { Width = width, Layers = 0, Latents = latents, Heads = 0, HeadWidth = 0, FeedForwardWidth = 0 };
}

/// <summary>One decoder serves every family; this says which.</summary>
public sealed record LanguageConfig
{
    /// <summary>Rows of the token embedding, added tokens included.</summary>
    public required int VocabularySize { get; init; }

    public required int Width { get; init; }

    public required int Layers { get; init; }

    public required int Heads { get; init; }

    /// <summary>
    /// Heads of keys and values, a divisor of <see cref="Heads"/>: query heads share them in groups. Null: as many as query heads.
    /// </summary>
    public int? KeyValueHeads { get; init; }

    public required int FeedForwardWidth { get; init; }

    public required int ContextLength { get; init; }

    /// <summary>layer_norm or rms_norm.</summary>
    public required string Norm { get; init; }

    public required double NormEpsilon { get; init; }

    /// <summary>alibi or rotary.</summary>
    public required string Positions { get; init; }

    /// <summary>ALiBi slope of head h (1-based) of H: 2^(−h × this / H).</summary>
    public double AlibiMaxBias { get; init; } = 8;

    public double RotaryFraction { get; init; } = 1;

    public double RotaryBase { get; init; } = 10000;

    /// <summary>x + attention(norm1 x) + feed_forward(norm2 x) instead of one after the other.</summary>
    public bool ParallelResidual { get; init; }

    /// <summary>gelu or swiglu.</summary>
    public required string FeedForward { get; init; }

    /// <summary>none, full_width (MPT-1B: LayerNorm over the whole width before heads are split).</summary>
    public string QueryKeyNorm { get; init; } = "none";

    /// <summary>The output projection is the token embedding.</summary>
    public required bool TiedEmbeddings { get; init; }

    public required CrossAttentionConfig CrossAttention { get; init; }

    [JsonIgnore]
    public int HeadWidth => Width / Heads;

    /// <summary>Width of all keys, and of all values, of one token.</summary>
    [JsonIgnore]
    public int KeyValueWidth => (KeyValueHeads ?? Heads) * HeadWidth;
}

public sealed record CrossAttentionConfig
{
    /// <summary>Decoder layers (0-based) that a gated block stands before.</summary>
    public required IReadOnlyList<int> Layers { get; init; }

    public required int Heads { get; init; }

    public required int HeadWidth { get; init; }

    public required int LatentWidth { get; init; }

    public required int FeedForwardWidth { get; init; }

    /// <summary>layer_norm (OpenFlamingo) or rms_norm (IDEFICS); of queries and keys too, where they are normed.</summary>
    public string Norm { get; init; } = "layer_norm";

    public double LayerNormEpsilon { get; init; } = 1e-5;

    /// <summary>none (OpenFlamingo) or per_head (IDEFICS: queries and keys, over each head).</summary>
    public string QueryKeyNorm { get; init; } = "none";

    /// <summary>gelu (OpenFlamingo) or swiglu (IDEFICS).</summary>
    public string FeedForward { get; init; } = "gelu";

    /// <summary>A gate for each of the width's dimensions instead of one for all.</summary>
    public bool VectorGates { get; init; }
}

/// <param name="Text">As it stands in tokenizer.json.</param>
public sealed record SpecialToken(string Text, int Id);

public sealed record TokensConfig
{
    public required SpecialToken Image { get; init; }

    public required SpecialToken EndOfChunk { get; init; }

    /// <summary>Stands before and after each picture, once between neighbours (IDEFICS); null for families that want none.</summary>
    public SpecialToken? AroundImage { get; init; }

    public SpecialToken? Padding { get; init; }

    /// <summary>Stood before every prompt by families that want it (LLaMA); null for GPT-NeoX tokenizers.</summary>
    public SpecialToken? Beginning { get; init; }

    /// <summary>Answers end at any of these ids.</summary>
    public required IReadOnlyList<int> Stop { get; init; }

    /// <summary>Never generated (IDEFICS: the picture markers).</summary>
    public IReadOnlyList<int> Banned { get; init; } = [];

    /// <summary>
    /// What stands behind one of these ids sees no picture until the next one; the id itself still does (IDEFICS: the end of text).
    /// Null where no id does. <see cref="ModelDirectory.Open"/> fills it in for an IDEFICS whose file lacks it.
    /// </summary>
    public IReadOnlyList<int>? HidesPictures { get; init; }
}

/// <param name="Bytes">File size.</param>
/// <param name="HeaderSha256">SHA-256 of the safetensors header (length prefix and JSON): compared at start.</param>
/// <param name="Digest">SHA-256 over all tensors (see <see cref="WeightsDigest"/>): recomputed by <c>inspect --verify</c>.</param>
/// <param name="LatentDigest">The same over tensors that shape latents only; what enters latent keys.</param>
public sealed record WeightsFile(string File, long Bytes, string HeaderSha256, string Digest, string LatentDigest);

public sealed record Provenance
{
    public required string Layout { get; init; }

    public required string Tool { get; init; }

    /// <summary>What else has influenced the model, as text written by the importer.</summary>
    public string? Settings { get; init; }

    public required IReadOnlyList<SourceFile> Sources { get; init; }

    public string? Note { get; init; }

    /// <summary>
    /// What may make the model compute something else than the original: keys of its configurations that the importer did not know. Null
    /// where there are none.
    /// </summary>
    public IReadOnlyList<string>? Warnings { get; init; }
}

public sealed record SourceFile(string File, long Bytes, string Sha256);
