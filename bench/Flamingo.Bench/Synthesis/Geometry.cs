using Flamingo.Checkpoints;

namespace Flamingo.Bench.Synthesis;

/// <summary>The sizes of a model without its weights, from the published configuration.</summary>
/// <param name="Biases">Whether the decoder's linear layers and norms have biases.</param>
public sealed record Geometry(string Name, VisionConfig Vision, ResamplerConfig Resampler, LanguageConfig Language, bool Biases = false)
{
    private static readonly PreprocessingConfig OpenClip = new()
    {
        Resize = "shortest_side_crop", Alpha = "drop", Mean = [0.48145466f, 0.4578275f, 0.40821073f],
        Std = [0.26862954f, 0.26130258f, 0.27577711f],
    };

    private static readonly VisionConfig ViTL14 = new()
    {
        ImageSize = 224, PatchSize = 14, Width = 1024, Layers = 24, Heads = 16, FeedForwardWidth = 4096, PooledWidth = 768,
        Activation = "quick_gelu", Preprocessing = OpenClip,
    };

    private static readonly ResamplerConfig Perceiver =
        new() { Width = 1024, Layers = 6, Latents = 64, Heads = 8, HeadWidth = 64, FeedForwardWidth = 4096, LatentDtype = "bfloat16" };

    /// <summary>
    /// OpenFlamingo-3B: CLIP ViT-L/14 at 224 pixels, a perceiver of depth 6, MPT-1B (mosaic_gpt) with a gated block before every
    /// layer.
    /// </summary>
    public static Geometry OpenFlamingo3B { get; } = new(
        "openflamingo-3b", ViTL14, Perceiver,
        new LanguageConfig
        {
            VocabularySize = 50434, Width = 2048, Layers = 24, Heads = 16, FeedForwardWidth = 8192, ContextLength = 2048,
            Norm = "layer_norm", NormEpsilon = 1e-5,
            Positions = "alibi", FeedForward = "gelu", QueryKeyNorm = "full_width", TiedEmbeddings = true,
            CrossAttention = OpenFlamingoBlocks(24, every: 1, 8192),
        });

    /// <summary>
    /// OpenFlamingo-4B: the same vision tower and perceiver, RedPajama-INCITE-3B (GPT-NeoX, sequential residual, full rotary,
    /// untied) with a gated block before every second layer.
    /// </summary>
    public static Geometry OpenFlamingo4B { get; } = new(
        "openflamingo-4b", ViTL14, Perceiver,
        new LanguageConfig
        {
            VocabularySize = 50434, Width = 2560, Layers = 32, Heads = 32, FeedForwardWidth = 10240, ContextLength = 2048,
            Norm = "layer_norm", NormEpsilon = 1e-5,
            Positions = "rotary", FeedForward = "gelu", TiedEmbeddings = false, CrossAttention = OpenFlamingoBlocks(32, every: 2, 10240),
        }, Biases: true);

    /// <summary>OpenFlamingo-9B: the same vision tower and perceiver, MPT-7B with a gated block before every fourth layer.</summary>
    public static Geometry OpenFlamingo9B { get; } = new(
        "openflamingo-9b", ViTL14, Perceiver,
        new LanguageConfig
        {
            VocabularySize = 50434, Width = 4096, Layers = 32, Heads = 32, FeedForwardWidth = 16384, ContextLength = 2048,
            Norm = "layer_norm", NormEpsilon = 1e-5,
            Positions = "alibi", FeedForward = "gelu", TiedEmbeddings = true, CrossAttention = OpenFlamingoBlocks(32, every: 4, 16384),
        });

    /// <summary>
    /// IDEFICS-9B: ViT-H/14 with class token, a perceiver of 16 heads × 96 with QK-norm, LLaMA-7B with a gated SwiGLU block
    /// before every fourth layer.
    /// </summary>
    public static Geometry Idefics9B { get; } = new(
        "idefics-9b",
        new VisionConfig
        {
            ImageSize = 224, PatchSize = 14, Width = 1280, Layers = 32, Heads = 16, FeedForwardWidth = 5120, PooledWidth = 0,
            Activation = "gelu", ClassTokenInFeatures = true,
            Preprocessing = OpenClip with { Resize = "square", Alpha = "white" },
        },
        new ResamplerConfig { Width = 1280, Layers = 6, Latents = 64, Heads = 16, HeadWidth = 96, FeedForwardWidth = 5120,
            QueryKeyNorm = "per_head", Activation = "relu", LatentDtype = "bfloat16" },
        new LanguageConfig
        {
            VocabularySize = 32002, Width = 4096, Layers = 32, Heads = 32, FeedForwardWidth = 11008, ContextLength = 2048,
            Norm = "rms_norm", NormEpsilon = 1e-6,
            Positions = "rotary", FeedForward = "swiglu", TiedEmbeddings = false,
            CrossAttention = new CrossAttentionConfig
            {
                Layers = [0, 4, 8, 12, 16, 20, 24, 28], Heads = 32, HeadWidth = 128, LatentWidth = 1280, FeedForwardWidth = 11008,
                Norm = "rms_norm", LayerNormEpsilon = 1e-6, QueryKeyNorm = "per_head", FeedForward = "swiglu",
            },
        });

    public static IReadOnlyList<Geometry> All { get; } = [OpenFlamingo3B, OpenFlamingo4B, OpenFlamingo9B, Idefics9B];

    // before layer i where (i + 1) % every == 0
    private static CrossAttentionConfig OpenFlamingoBlocks(int layers, int every, int feedForwardWidth) =>
        new() { Layers = [.. Enumerable.Range(1, layers / every).Select(block => (block * every) - 1)], Heads = 8, HeadWidth = 64,
            LatentWidth = 1024, FeedForwardWidth = feedForwardWidth };
}
