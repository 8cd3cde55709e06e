using Flamingo.Checkpoints;

namespace Flamingo.Cli.Inspecting;

/// <summary>Recomputes the digests of every weights file, which a start does not do: it would read every byte.</summary>
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
                faults.Add($"{weights.File} does not have the digest that flamingo.json says.");
            if (WeightsDigest.Compute(file, WeightsDigest.ShapesLatents) != weights.LatentDigest)
                faults.Add($"{weights.File} does not have the latent digest that flamingo.json says.");
            output.WriteLine($"{part,-10} digests {(faults.Count == found ? "hold" : "DIFFER")}");
        }

        return faults;
    }
}
