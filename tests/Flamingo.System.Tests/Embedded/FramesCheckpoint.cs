using System.Runtime.InteropServices;
using Flamingo.Checkpoints;
using Flamingo.Import;
using Flamingo.Import.Sources;
using Flamingo.Testing;

namespace Flamingo.SystemTests.Embedded;

/// <summary>The default model with frame embeddings, for tests of clips. No published checkpoint has frame embeddings.</summary>
internal static class FramesCheckpoint
{
    public const int Frames = 4;

    /// <param name="folder">An empty directory.</param>
    public static void Write(string folder)
    {
        var original = RepositoryFiles.Path("models", "shapes");
        RepositoryFiles.Copy(original, folder);
        var (config, path, random) = (ModelDirectory.Open(original).Config, Path.Combine(folder, "resampler.safetensors"), new Random(7));
        var embeddings = new float[Frames * config.Resampler.Width];
        for (var i = 0; i < embeddings.Length; i++) embeddings[i] = (random.NextSingle() - 0.5f) * 4;
        using (var weights = SafetensorsFile.Open(Path.Combine(original, "resampler.safetensors")))
        {
            var tensors = weights.Entries.Values.ToDictionary(entry => entry.Name,
                entry => new SourceTensor(entry.Name, entry.Dtype, entry.Shape, () => weights.Read(entry).ToArray()));
            tensors["frame_embs"] = new SourceTensor("frame_embs", "F32", [Frames, config.Resampler.Width],
                () => MemoryMarshal.AsBytes<float>(embeddings).ToArray());
            SafetensorsWriter.Write(path, tensors, null, (_, _) => { }, [], CancellationToken.None);
        }

        using var written = SafetensorsFile.Open(path);
        var digest = WeightsDigest.Compute(written, _ => true);
        ModelDirectory.WriteConfig(folder, config with
        {
            Resampler = config.Resampler with { FrameEmbeddings = Frames },
            Weights = new Dictionary<string, WeightsFile>(config.Weights)
            {
                ["resampler"] = config.Weights["resampler"] with { Bytes = new FileInfo(path).Length, HeaderSha256 = written.HeaderSha256,
                    Digest = digest, LatentDigest = digest },
            },
        });
    }
}
