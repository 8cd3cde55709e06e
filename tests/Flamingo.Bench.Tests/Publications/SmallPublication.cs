using Flamingo.Bench.Synthesis;
using Flamingo.Bench.Tests.Synthesis;

namespace Flamingo.Bench.Tests.Publications;

/// <summary>
/// A small geometry that keeps the values that its layout fixes: OpenFlamingo's number of heads and the layers with gated blocks.
/// </summary>
internal static class SmallPublication
{
    public static Geometry Of(Geometry large)
    {
        var small = SmallGeometry.Of(large);
        var isIdefics = large.Language.FeedForward == "swiglu";
        var every = large.Language.Layers / large.Language.CrossAttention.Layers.Count;
        return small with
        {
            Resampler = isIdefics ? small.Resampler : small.Resampler with { Heads = 8, HeadWidth = 64 },
            Language = small.Language with
            {
                Layers = 8,
                CrossAttention = small.Language.CrossAttention with
                {
                    Layers = [.. Enumerable.Range(0, 8).Where(layer => isIdefics ? layer % every == 0 : (layer + 1) % every == 0)],
                    Heads = isIdefics ? 4 : 8, HeadWidth = isIdefics ? 16 : 64,
                },
            },
        };
    }
}
