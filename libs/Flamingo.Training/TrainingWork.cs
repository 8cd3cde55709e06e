using System.Globalization;
using Flamingo.Checkpoints;
using Flamingo.Training.Network;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.Training;

/// <summary>
/// Floating-point operations of a step in the linear layers, computed from headers: a frozen layer counts forward and to its input's
/// gradient, a trained one also to its own gradient. Attention scores, and what is computed again for gradients, are left out.
/// </summary>
/// <param name="PerToken">Operations for a token of a batch, padding included; a multiply-add counts as two.</param>
/// <param name="PerPicture">Operations for a picture, without the vision encoder, whose features are computed once.</param>
public sealed record TrainingWork(double PerToken, double PerPicture)
{
    // What a step reached of the machine's products here: 0.11 to 0.18 with the shapes model, 0.34 with the 3B geometry.
    private const double LeastShare = 0.1, MostShare = 0.35;
    private const int Side = 1024, Passes = 5;

    public static TrainingWork Of(ModelDirectory model)
    {
        var (config, perToken, perPicture) = (model.Config, 0.0, 0.0);
        using var language = model.OpenWeights("language");
        foreach (var entry in language.Entries.Values.Where(entry => entry.Shape.Count == 2))
            if (entry.Name.EndsWith(".gated_cross_attention.attention.key_value.weight", StringComparison.Ordinal))
                perPicture += 6 * Size(entry.Shape) * config.Resampler.Latents;
            else if (config.Language.TiedEmbeddings || entry.Name != "token_embedding.weight")
                perToken += (BridgeWeights.IsGated(entry.Name) ? 6 : 4) * Size(entry.Shape);

        var side = config.Vision.ImageSize / config.Vision.PatchSize;
        using var resampler = model.OpenWeights("resampler");
        foreach (var entry in resampler.Entries.Values.Where(entry => entry.Shape.Count == 2))
            perPicture += 6 * Size(entry.Shape) * (config.Resampler.Latents
                + (entry.Name.Contains("key_value", StringComparison.Ordinal) ? side * side : 0));
        return new TrainingWork(perToken, perPicture);

        static double Size(IEnumerable<long> shape) => shape.Aggregate(1.0, (product, length) => product * length);
    }

    /// <summary>A sentence that says how fast training will be, from a measurement of this machine's matrix products (a moment).</summary>
    public string Forecast(ScalarType dtype, TimeProvider time)
    {
        using var scope = NewDisposeScope();
        var (left, right) = (ones(Side, Side, dtype), ones(Side, Side, dtype));
        var best = double.PositiveInfinity;
        for (var pass = 0; pass < Passes; pass++)
        {
            var started = time.GetTimestamp();
            left.matmul(right).Dispose();
            best = Math.Min(best, time.GetElapsedTime(started).TotalSeconds);
        }

        var peak = 2.0 * Side * Side * Side / Math.Max(best, 1e-9);
        return string.Create(CultureInfo.InvariantCulture,
            $"Speed: a token takes {PerToken / 1e9:0.###} GFLOP and a picture {PerPicture / 1e9:0.###}, and this machine multiplies "
            + $"{peak / 1e9:0} GFLOP/s, of which a step reaches a tenth to a third: {LeastShare * peak / PerToken:0} to "
            + $"{MostShare * peak / PerToken:0} tokens per second.");
    }
}
