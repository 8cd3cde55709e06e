using Flamingo.Bench.Machine;
using Flamingo.Bench.Measuring;
using Flamingo.Checkpoints;
using Flamingo.Import;
using Flamingo.Import.Sources;

namespace Flamingo.Bench.Synthesis;

/// <summary>
/// Writes a model directory with the geometry of a published model and random bf16 weights, one tensor at a time. Its answers are
/// meaningless, but their speed is that of the real model.
/// </summary>
public static class SyntheticModel
{
    /// <summary>Opens the directory if it exists, otherwise creates it.</summary>
    /// <param name="lender">The model whose tokenizer and special tokens are copied; its ids must be below the geometry's
    /// vocabulary size.</param>
    /// <exception cref="CheckpointException">The directory holds another model.</exception>
    /// <exception cref="IOException">The disk has too little free space.</exception>
    public static ModelDirectory OpenOrWrite(Geometry geometry, ModelDirectory lender, string path, int seed, TextWriter progress,
        CancellationToken cancellation)
    {
        if (File.Exists(Path.Combine(path, ModelDirectory.ConfigFile)))
        {
            var found = ModelDirectory.Open(path);
            return found.Config.ModelId == ModelId(geometry, seed) ? found
                : throw new CheckpointException($"{path} holds {found.Config.ModelId} but the run measures {ModelId(geometry, seed)}. "
                    + "Name another --model, or delete the folder.");
        }

        if (Directory.Exists(path) && Directory.EnumerateFileSystemEntries(path).Any())
            throw new CheckpointException($"{path} is not empty and holds no model. Name another --model.");
        var unfinished = $"{Path.TrimEndingDirectorySeparator(Path.GetFullPath(path))}.writing-{Environment.ProcessId}";
        Directory.CreateDirectory(unfinished);
        try
        {
            Write(geometry, lender, unfinished, seed, progress, cancellation);
            if (Directory.Exists(path)) Directory.Delete(path);
            Directory.Move(unfinished, path);
        }
        finally
        {
            if (Directory.Exists(unfinished)) Directory.Delete(unfinished, recursive: true);
        }

        return ModelDirectory.Open(path);
    }

    private static string ModelId(Geometry geometry, int seed) => $"{geometry.Name}-random-{seed}";

    private static void Write(Geometry geometry, ModelDirectory lender, string folder, int seed, TextWriter progress,
        CancellationToken cancellation)
    {
        (string Part, SyntheticTensor[] Tensors)[] parts =
        [
            ("vision", [.. SyntheticTensor.Vision(geometry.Vision)]),
            ("resampler", [.. SyntheticTensor.Resampler(geometry.Resampler)]),
            ("language", [.. SyntheticTensor.Language(geometry.Language, geometry.Biases)]),
        ];
        var total = parts.Sum(part => part.Tensors.Sum(tensor => tensor.Elements * sizeof(ushort)));
        Disk.Require(folder, total, "the model", "Set TMPDIR or name another --model.");
        progress.WriteLine($"writing {geometry.Name}, random bf16 weights, {total / 1e9:0.00} GB …");
        var (values, written) = (new SyntheticValues(seed), new Tenths(progress, total));
        var weights = new Dictionary<string, WeightsFile>();
        foreach (var (part, tensors) in parts)
        {
            var sources = tensors.ToDictionary(tensor => tensor.Name,
                tensor => new SourceTensor(tensor.Name, "BF16", tensor.Shape, () => values.Fill(tensor)));
            SafetensorsWriter.Write(Path.Combine(folder, $"{part}.safetensors"), sources, dtype: null, (_, bytes) => written.Add(bytes),
                faults: [], cancellation);
            weights[part] = Describe(folder, $"{part}.safetensors");
        }

        File.Copy(lender.TokenizerPath, Path.Combine(folder, ModelDirectory.TokenizerFile));
        ModelDirectory.WriteConfig(folder, new ModelConfig
        {
            FormatVersion = ModelConfig.CurrentFormatVersion,
            ModelId = ModelId(geometry, seed),
            Vision = geometry.Vision,
            Resampler = geometry.Resampler,
            Language = geometry.Language,
            Tokens = lender.Config.Tokens,
            Weights = weights,
            Provenance = new Provenance { Layout = "synthetic", Tool = "Flamingo.Bench", Sources = [],
                Note = $"random weights, seed {seed}" },
        });
    }

    private static WeightsFile Describe(string folder, string name)
    {
        var path = Path.Combine(folder, name);
        using var file = SafetensorsFile.Open(path);
        var digest = WeightsDigest.Compute(file, _ => true);
        var latentDigest = file.Entries.Keys.All(WeightsDigest.ShapesLatents) ? digest
            : WeightsDigest.Compute(file, WeightsDigest.ShapesLatents);
        return new WeightsFile(name, new FileInfo(path).Length, file.HeaderSha256, digest, latentDigest);
    }
}
