using Flamingo.Bench.Synthesis;

namespace Flamingo.Bench.Tests.Synthesis;

/// <summary>A geometry with the same architecture and sizes that are about a thousand times smaller.</summary>
internal static class SmallGeometry
{
    public static Geometry Value { get; } = Of(Geometry.OpenFlamingo3B);

    public static Geometry Of(Geometry large) => new(
        "small",
        large.Vision with { ImageSize = 28, Width = 32, Layers = 2, Heads = 2, FeedForwardWidth = 64,
            PooledWidth = large.Vision.PooledWidth == 0 ? 0 : 24 },
        large.Resampler with { Width = 32, Layers = 2, Latents = 8, Heads = 2, HeadWidth = 16, FeedForwardWidth = 64 },
        large.Language with
        {
            VocabularySize = 600, Width = 64, Layers = 3, Heads = 4, FeedForwardWidth = 128,
            CrossAttention = large.Language.CrossAttention with { Layers = [0, 1, 2], Heads = 2, HeadWidth = 16, LatentWidth = 32,
                FeedForwardWidth = 128 },
        },
        large.Biases);
}
