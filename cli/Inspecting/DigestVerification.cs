using Flamingo.Checkpoints;

namespace Flamingo.Cli.Inspecting;

/// <summary>
/// Recomputes the digests of every weights file. A service does not do this at its start, because it would have to read every byte.
/// </summary>
public static class DigestVerification
{
    /// <returns>One sentence for every digest that differs.</returns>
    public static IReadOnlyList<string> Run(ModelDirectory model, TextWriter output)
    {
        var faults = new List<string>();
        foreach (var (part, weights) in model.Config.Weights)
        {
            using var file = model.OpenWeights(part);
            var found = faults.Count;
            if (WeightsDigest.Compute(file, _ => true) != weights.Digest)
                faults.Add($"{weights.File} does not have the digest in flamingo.json.");
            if (WeightsDigest.Compute(file, WeightsDigest.ShapesLatents) != weights.LatentDigest)
                faults.Add($"{weights.File} does not have the latent digest in flamingo.json.");
            output.WriteLine($"{part,-10} digests {(faults.Count == found ? "hold" : "DIFFER")}");
        }

        return faults;
    }
}
