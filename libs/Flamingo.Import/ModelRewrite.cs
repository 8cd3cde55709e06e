using Flamingo.Checkpoints;
using Flamingo.Import.Sources;

namespace Flamingo.Import;

/// <summary>
/// Writes a model directory that is another one with some weight files replaced. It is written beside the output and renamed, so that no
/// process finds an incomplete model. A failed or cancelled write leaves no files; the next write to the same output removes the files of
/// one that was killed.
/// </summary>
public static class ModelRewrite
{
    /// <param name="start">The model whose other files are copied.</param>
    /// <param name="parts">All tensors of each part that changes, by part and canonical name.</param>
    /// <param name="describe">Returns the configuration of the result; its weights are filled in.</param>
    /// <param name="output">The directory to create. It must not exist.</param>
    /// <param name="cancellation">Checked before each tensor.</param>
    /// <exception cref="CheckpointException">
    /// The output exists, the disk is too small, or a tensor has a value that is not finite.
    /// </exception>
    public static ModelDirectory Write(ModelDirectory start, IReadOnlyDictionary<string, IReadOnlyDictionary<string, SourceTensor>> parts,
        Func<ModelConfig, ModelConfig> describe, string output, CancellationToken cancellation)
    {
        output = Path.TrimEndingDirectorySeparator(Path.GetFullPath(output));
        if (Path.Exists(output)) throw ModelImport.Exists(output);
        UnfinishedImport.RemoveAbandoned(output);
        var unfinished = UnfinishedImport.Begin(output);
        try
        {
            var kept = start.Config.Weights.Where(weights => !parts.ContainsKey(weights.Key)).ToDictionary();
            UnfinishedImport.CheckSpace(unfinished,
                kept.Values.Sum(weights => weights.Bytes) + parts.Values.Sum(part => part.Values.Sum(tensor => tensor.Length)));
            File.Copy(start.TokenizerPath, Path.Combine(unfinished, ModelDirectory.TokenizerFile));
            var (meter, faults) = (new ProgressMeter(null, TimeProvider.System, 0), new List<string>());
            foreach (var (part, tensors) in parts)
            {
                SafetensorsWriter.Write(
                    Path.Combine(unfinished, $"{part}.safetensors"), tensors, null, meter.Add, faults, cancellation);
                if (faults.Count > 0)
                    throw new CheckpointException($"The weights have values that are not finite; no model was written:\n  "
                        + string.Join("\n  ", faults));
                kept[part] = ModelImport.Describe(unfinished, $"{part}.safetensors", meter, cancellation);
            }

            foreach (var (part, weights) in start.Config.Weights.Where(weights => !parts.ContainsKey(weights.Key)))
            {
                cancellation.ThrowIfCancellationRequested();
                start.OpenWeights(part).Dispose(); // This compares size and header before the file is copied.
                File.Copy(Path.Combine(start.Path, weights.File), Path.Combine(unfinished, weights.File));
            }

            var config = describe(start.Config) with { Weights = kept };
            ModelDirectory.ThrowIfFaulty(start.Path, config);
            ModelDirectory.WriteConfig(unfinished, config);
            if (Path.Exists(output)) throw ModelImport.Exists(output);
            Directory.Move(unfinished, output);
        }
        finally
        {
            if (Directory.Exists(unfinished)) Directory.Delete(unfinished, recursive: true);
        }

        return ModelDirectory.Open(output);
    }
}
