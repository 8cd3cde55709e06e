using Flamingo.Checkpoints;
using Flamingo.Testing;

namespace Flamingo.SystemTests.Embedded;

/// <summary>The default model with changed vision weights: the sizes are the same, digest and latents differ.</summary>
internal static class OtherCheckpoint
{
    /// <param name="folder">An empty directory.</param>
    public static void Write(string folder)
    {
        var original = RepositoryFiles.Path("models", "shapes");
        RepositoryFiles.Copy(original, folder);
        var weights = Path.Combine(folder, "vision.safetensors");
        long offset, length;
        using (var opened = SafetensorsFile.Open(weights))
        {
            var entry = opened.Entries.Values.First(entry => entry.Name.EndsWith("positional_embedding", StringComparison.Ordinal));
            (offset, length) = (entry.Offset, entry.Length);
        }

        var bytes = File.ReadAllBytes(weights);
        for (var i = offset + 1; i < offset + length; i += 2) bytes[i] ^= 0x80; // the sign of every bf16 value
        File.WriteAllBytes(weights, bytes);

        var config = ModelDirectory.Open(original).Config;
        using var changed = SafetensorsFile.Open(weights);
        var vision = config.Weights["vision"] with { Digest = WeightsDigest.Compute(changed, _ => true),
            LatentDigest = WeightsDigest.Compute(changed, WeightsDigest.ShapesLatents) };
        ModelDirectory.WriteConfig(folder,
            config with { Weights = new Dictionary<string, WeightsFile>(config.Weights) { ["vision"] = vision } });
    }
}
