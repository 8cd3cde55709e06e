using Flamingo.Bench.Synthesis;

namespace Flamingo.Bench.Tests.Synthesis;

/// <summary>OpenFlamingo-3B with everything that makes it what it is, a thousand times smaller.</summary>
internal static class SmallGeometry
{
    private static readonly Geometry Large = Geometry.OpenFlamingo3B;

    public static Geometry Value { get; } = new(
        "small",
        Large.Vision with { ImageSize = 28, Width = 32, Layers = 2, Heads = 2, FeedForwardWidth = 64, PooledWidth = 24 },
        Large.Resampler with { Width = 32, Layers = 2, Latents = 8, Heads = 2, HeadWidth = 16, FeedForwardWidth = 64 },
        Large.Language with
        {
            VocabularySize = 600, Width = 64, Layers = 3, Heads = 4, FeedForwardWidth = 128,
            CrossAttention = Large.Language.CrossAttention with { Layers = [0, 1, 2], Heads = 2, HeadWidth = 16, LatentWidth = 32, FeedForwardWidth = 128 },
        });
}
