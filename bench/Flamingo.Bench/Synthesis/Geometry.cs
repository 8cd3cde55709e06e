using Flamingo.Checkpoints;

namespace Flamingo.Bench.Synthesis;

/// <summary>The sizes of a model without its weights.</summary>
public sealed record Geometry(string Name, VisionConfig Vision, ResamplerConfig Resampler, LanguageConfig Language)
{
    /// <summary>OpenFlamingo-3B: CLIP ViT-L/14 at 224 pixels, a perceiver of depth 6, MPT-1B (mosaic_gpt) with a gated block before every layer.</summary>
    public static Geometry OpenFlamingo3B { get; } = new(
        "openflamingo-3b",
        new VisionConfig
        {
            ImageSize = 224, PatchSize = 14, Width = 1024, Layers = 24, Heads = 16, FeedForwardWidth = 4096, PooledWidth = 768, Activation = "quick_gelu",
            Preprocessing = new PreprocessingConfig { Resize = "shortest_side_crop", Alpha = "drop", Mean = [0.48145466f, 0.4578275f, 0.40821073f], Std = [0.26862954f, 0.26130258f, 0.27577711f] },
        },
        new ResamplerConfig { Width = 1024, Layers = 6, Latents = 64, Heads = 8, HeadWidth = 64, FeedForwardWidth = 4096, LatentDtype = "bfloat16" },
        new LanguageConfig
        {
            VocabularySize = 50434, Width = 2048, Layers = 24, Heads = 16, FeedForwardWidth = 8192, ContextLength = 2048, Norm = "layer_norm", NormEpsilon = 1e-5,
            Positions = "alibi", FeedForward = "gelu", QueryKeyNorm = "full_width", TiedEmbeddings = true,
            CrossAttention = new CrossAttentionConfig { Layers = [.. Enumerable.Range(0, 24)], Heads = 8, HeadWidth = 64, LatentWidth = 1024, FeedForwardWidth = 8192 },
        });
}
