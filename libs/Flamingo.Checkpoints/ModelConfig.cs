using System.Text.Json.Serialization;

namespace Flamingo.Checkpoints;

/// <summary>
/// The content of <c>flamingo.json</c>: everything that a stage needs to know about a checkpoint besides its weights. The names in the
/// file are those of the properties in snake_case.
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

    /// <summary>Prompt templates. Null takes those of <see cref="PromptsConfig.ByLayout"/>.</summary>
    public PromptsConfig? Prompts { get; init; }

    /// <summary>Weight files of the parts vision, resampler and language.</summary>
    public required IReadOnlyDictionary<string, WeightsFile> Weights { get; init; }

    public required Provenance Provenance { get; init; }
}

/// <summary>
/// A CLIP vision tower. It computes (ImageSize / PatchSize)² features per picture, and one more if the class token is among them.
/// </summary>
public sealed record VisionConfig
{
    /// <summary>Side of the square input in pixels.</summary>
    public required int ImageSize { get; init; }

    /// <summary>Side of a patch in pixels.</summary>
    public required int PatchSize { get; init; }

    public required int Width { get; init; }

    public required int Layers { get; init; }

    public required int Heads { get; init; }

    public required int FeedForwardWidth { get; init; }

    /// <summary>Width of the pooled and projected embedding; 0 if the checkpoint has none.</summary>
    public required int PooledWidth { get; init; }

    /// <summary>Activation of the feed-forward: quick_gelu or gelu.</summary>
    public required string Activation { get; init; }

    public double LayerNormEpsilon { get; init; } = 1e-5;

    /// <summary>Whether the class token is among the features: true for IDEFICS, false for OpenFlamingo.</summary>
    public bool ClassTokenInFeatures { get; init; }

    public required PreprocessingConfig Preprocessing { get; init; }
}

/// <summary>How a picture becomes the input of the vision tower.</summary>
public sealed record PreprocessingConfig
{
    /// <summary>
    /// How a picture becomes a square: shortest_side_crop (open_clip: the shortest side is resized, and the centre is cut out) or square
    /// (IDEFICS: both sides are resized, which changes the proportions).
    /// </summary>
    public required string Resize { get; init; }

    /// <summary>
    /// How transparent pixels become opaque: drop (open_clip: the alpha channel is dropped and the colours are kept), white (IDEFICS: the
    /// picture is laid over white) or black.
    /// </summary>
    public required string Alpha { get; init; }

    /// <summary>
    /// How the EXIF orientation of a picture is used: exif turns the picture upright, ignore takes the pixels in the order of the file, as
    /// the original code does.
    /// </summary>
    public string Orientation { get; init; } = "exif";

    /// <summary>Mean of red, green and blue that is subtracted from values between 0 and 1.</summary>
    public required IReadOnlyList<float> Mean { get; init; }

    /// <summary>Standard deviation of red, green and blue that the differences are divided by.</summary>
    public required IReadOnlyList<float> Std { get; init; }
}

/// <summary>A perceiver resampler, which computes a fixed number of latents from the features of one picture or clip.</summary>
public sealed record ResamplerConfig
{
    /// <summary>Width of features and of latents.</summary>
    public required int Width { get; init; }

    public required int Layers { get; init; }

    /// <summary>Number of latents per picture or clip.</summary>
    public required int Latents { get; init; }

    public required int Heads { get; init; }

    public required int HeadWidth { get; init; }

    public required int FeedForwardWidth { get; init; }

    /// <summary>
    /// Normalisation of queries and keys: none (OpenFlamingo) or per_head (IDEFICS: a LayerNorm with bias over each head).
    /// </summary>
    public string QueryKeyNorm { get; init; } = "none";

    /// <summary>Activation of the feed-forward: gelu (OpenFlamingo) or relu (IDEFICS).</summary>
    public string Activation { get; init; } = "gelu";

    public double LayerNormEpsilon { get; init; } = 1e-5;

    /// <summary>Rows of the frame embeddings (frame_embs); 0 if the checkpoint has none.</summary>
    public int FrameEmbeddings { get; init; }

    /// <summary>Rows of the media time embeddings (media_time_embs); 0 if the checkpoint has none.</summary>
    public int MediaTimeEmbeddings { get; init; }

    /// <summary>Dtype that the Resampler rounds its latents to: float32, float16 or bfloat16.</summary>
    public string LatentDtype { get; init; } = "float32";

    /// <summary>Whether the checkpoint has no resampler, so that the features of a picture are its latents.</summary>
    [JsonIgnore]
    public bool PassesOn => Layers == 0;

    /// <summary>Returns the configuration of a checkpoint without a resampler.</summary>
    /// <param name="width">Width of the features.</param>
    /// <param name="latents">Number of features of one picture.</param>
    public static ResamplerConfig PassingOn(int width, int latents) =>
        new() { Width = width, Layers = 0, Latents = latents, Heads = 0, HeadWidth = 0, FeedForwardWidth = 0 };
}

/// <summary>
/// A decoder-only language model with gated cross-attention blocks. The same code runs all families; this record selects one.
/// </summary>
public sealed record LanguageConfig
{
    /// <summary>Rows of the token embedding, including the added tokens.</summary>
    public required int VocabularySize { get; init; }

    public required int Width { get; init; }

    public required int Layers { get; init; }

    public required int Heads { get; init; }

    /// <summary>
    /// Heads of keys and values, a divisor of <see cref="Heads"/>: groups of query heads share them (grouped-query attention). Null means
    /// as many as query heads.
    /// </summary>
    public int? KeyValueHeads { get; init; }

    public required int FeedForwardWidth { get; init; }

    /// <summary>Most tokens of prompt and answer together.</summary>
    public required int ContextLength { get; init; }

    /// <summary>Normalisation: layer_norm or rms_norm.</summary>
    public required string Norm { get; init; }

    public required double NormEpsilon { get; init; }

    /// <summary>Position encoding: alibi or rotary.</summary>
    public required string Positions { get; init; }

    /// <summary>Largest exponent of the ALiBi slopes: the slope of head h (counted from 1) of H is 2^(−h × AlibiMaxBias / H).</summary>
    public double AlibiMaxBias { get; init; } = 8;

    /// <summary>Fraction of each head that rotary positions rotate; more than 0, at most 1.</summary>
    public double RotaryFraction { get; init; } = 1;

    /// <summary>Base of the rotary frequencies.</summary>
    public double RotaryBase { get; init; } = 10000;

    /// <summary>
    /// Whether a layer computes x + attention(norm1 x) + feed_forward(norm2 x). If false, the feed-forward follows the attention.
    /// </summary>
    public bool ParallelResidual { get; init; }

    /// <summary>Kind of the feed-forward: gelu or swiglu.</summary>
    public required string FeedForward { get; init; }

    /// <summary>
    /// Normalisation of queries and keys: none or full_width (MPT-1B: a LayerNorm over the whole width, before heads are split).
    /// </summary>
    public string QueryKeyNorm { get; init; } = "none";

    /// <summary>Whether the token embedding serves as output projection.</summary>
    public required bool TiedEmbeddings { get; init; }

    public required CrossAttentionConfig CrossAttention { get; init; }

    [JsonIgnore]
    public int HeadWidth => Width / Heads;

    /// <summary>Width of the keys of one token over all heads, which is also the width of its values.</summary>
    [JsonIgnore]
    public int KeyValueWidth => (KeyValueHeads ?? Heads) * HeadWidth;
}

/// <summary>The gated cross-attention blocks, in which text attends to latents.</summary>
public sealed record CrossAttentionConfig
{
    /// <summary>Decoder layers, counted from 0, that are preceded by a gated block.</summary>
    public required IReadOnlyList<int> Layers { get; init; }

    public required int Heads { get; init; }

    public required int HeadWidth { get; init; }

    public required int LatentWidth { get; init; }

    public required int FeedForwardWidth { get; init; }

    /// <summary>
    /// Normalisation: layer_norm (OpenFlamingo) or rms_norm (IDEFICS). It applies to queries and keys too if they are normalised.
    /// </summary>
    public string Norm { get; init; } = "layer_norm";

    public double LayerNormEpsilon { get; init; } = 1e-5;

    /// <summary>Normalisation of queries and keys: none (OpenFlamingo) or per_head (IDEFICS: over each head).</summary>
    public string QueryKeyNorm { get; init; } = "none";

    /// <summary>Kind of the feed-forward: gelu (OpenFlamingo) or swiglu (IDEFICS).</summary>
    public string FeedForward { get; init; } = "gelu";

    /// <summary>Whether each dimension of the width has its own gate. If false, one gate serves all dimensions.</summary>
    public bool VectorGates { get; init; }
}

/// <summary>A token with a meaning of its own, such as the one that marks a picture.</summary>
/// <param name="Text">Text of the token in tokenizer.json.</param>
/// <param name="Id">Id of the token.</param>
public sealed record SpecialToken(string Text, int Id);

/// <summary>The special tokens of a checkpoint.</summary>
public sealed record TokensConfig
{
    /// <summary>Marks a picture in a prompt.</summary>
    public required SpecialToken Image { get; init; }

    /// <summary>Ends a shot, and ends an answer.</summary>
    public required SpecialToken EndOfChunk { get; init; }

    /// <summary>
    /// Put before and after each picture, and once between two neighbouring pictures (IDEFICS). Null for families without such a token.
    /// </summary>
    public SpecialToken? AroundImage { get; init; }

    public SpecialToken? Padding { get; init; }

    /// <summary>Put before every prompt (LLaMA). Null for families whose prompts have no such token (GPT-NeoX).</summary>
    public SpecialToken? Beginning { get; init; }

    /// <summary>Ids of the tokens that end an answer.</summary>
    public required IReadOnlyList<int> Stop { get; init; }

    /// <summary>Ids of tokens that are never generated (IDEFICS: the picture markers).</summary>
    public IReadOnlyList<int> Banned { get; init; } = [];

    /// <summary>
    /// Ids of tokens that hide pictures (IDEFICS: the end of text): tokens after such a token attend to no picture until the next picture;
    /// the token itself still attends. Null if there are none. <see cref="ModelDirectory.Open"/> fills this in for an IDEFICS whose
    /// flamingo.json lacks it.
    /// </summary>
    public IReadOnlyList<int>? HidesPictures { get; init; }
}

/// <summary>A safetensors file of a model directory.</summary>
/// <param name="File">Name of the file in the model directory.</param>
/// <param name="Bytes">Size of the file.</param>
/// <param name="HeaderSha256">SHA-256 of the safetensors header (length prefix and JSON). It is compared when the file is opened.</param>
/// <param name="Digest">
/// SHA-256 over all tensors (see <see cref="WeightsDigest"/>). <c>flamingo inspect --verify</c> computes it again and compares.
/// </param>
/// <param name="LatentDigest">Digest of only those tensors that change latents. It is part of latent keys.</param>
public sealed record WeightsFile(string File, long Bytes, string HeaderSha256, string Digest, string LatentDigest);

/// <summary>The origin of a model directory.</summary>
public sealed record Provenance
{
    /// <summary>Name of the published layout, such as openflamingo.</summary>
    public required string Layout { get; init; }

    /// <summary>Name and version of the importer.</summary>
    public required string Tool { get; init; }

    /// <summary>Options of the import that changed its result, as the importer's text.</summary>
    public string? Settings { get; init; }

    /// <summary>The published files that the importer read.</summary>
    public required IReadOnlyList<SourceFile> Sources { get; init; }

    /// <summary>Decisions of the importer, as text; null if there are none.</summary>
    public string? Note { get; init; }

    /// <summary>
    /// Reasons why the model may compute something else than the original: keys of its configurations that the importer did not know.
    /// Null if there are none.
    /// </summary>
    public IReadOnlyList<string>? Warnings { get; init; }
}

/// <summary>A published file.</summary>
/// <param name="File">Name of the file, without its folder.</param>
/// <param name="Bytes">Size of the file.</param>
/// <param name="Sha256">Lowercase hexadecimal SHA-256 of the file.</param>
public sealed record SourceFile(string File, long Bytes, string Sha256);
