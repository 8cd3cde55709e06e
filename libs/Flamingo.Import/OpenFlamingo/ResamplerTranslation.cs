using Flamingo.Checkpoints;
using Flamingo.Import.Sources;

namespace Flamingo.Import.OpenFlamingo;

/// <summary>
/// Translates the perceiver resampler of checkpoint.pt. Tensor names lose the prefix <c>perceiver.</c>, sizes are read from the shapes,
/// and attention always has 8 heads of width 64.
/// </summary>
internal static class ResamplerTranslation
{
    public const int Heads = 8;
    public const int HeadWidth = 64;

    public static ResamplerConfig Translate(WeightCollector weights)
    {
        var latents = weights.ShapeOf("perceiver.latents", 2) ?? [0, 0];
        var width = latents[^1];
        var layers = weights.Count("perceiver.layers", "0.to_q.weight");
        var hidden = weights.ShapeOf("perceiver.layers.0.1.1.weight", 2)?[0] ?? 0;
        var frames = weights.Has("perceiver.frame_embs") ? weights.ShapeOf("perceiver.frame_embs", 2)?[0] ?? 0 : 0;
        var media = weights.Has("perceiver.media_time_embs") ? weights.ShapeOf("perceiver.media_time_embs", 3)?[0] ?? 0 : 0;
        const int Inner = Heads * HeadWidth;

        Keep("latents", latents[0], width);
        if (frames > 0) Keep("frame_embs", frames, width);
        if (media > 0) Keep("media_time_embs", media, 1, width);
        for (var layer = 0; layer < layers; layer++)
        {
            var (attention, feedForward) = ($"layers.{layer}.0", $"layers.{layer}.1");
            Norm($"{attention}.norm_media");
            Norm($"{attention}.norm_latents");
            Keep($"{attention}.to_q.weight", Inner, width);
            Keep($"{attention}.to_kv.weight", 2 * Inner, width);
            Keep($"{attention}.to_out.weight", width, Inner);
            Norm($"{feedForward}.0");
            Keep($"{feedForward}.1.weight", hidden, width);
            Keep($"{feedForward}.3.weight", width, hidden);
        }

        Norm("norm");
        return new ResamplerConfig { Width = (int)width, Layers = layers, Latents = (int)latents[0], Heads = Heads, HeadWidth = HeadWidth,
            FeedForwardWidth = (int)hidden, FrameEmbeddings = (int)frames, MediaTimeEmbeddings = (int)media };

        void Keep(string name, params ReadOnlySpan<long> shape) => weights.Take(name, $"perceiver.{name}", shape);
        void Norm(string name) => weights.TakeNorm(name, $"perceiver.{name}", width, bias: true);
    }
}
