using Flamingo.Checkpoints;
using Flamingo.Import;
using Flamingo.Import.Pickles;
using Flamingo.Import.Sources;
using Flamingo.Training.Golden;
using Flamingo.Training.Network;

namespace Flamingo.Training.Results;

/// <summary>
/// Writes the checkpoint.pt that OpenFlamingo 2.0.1 loads beside the same CLIP and the same language model: resampler, gated blocks and
/// token embedding under its names, in f32, as its training saves them.
/// </summary>
public static class OpenFlamingoExport
{
    private const int Heads = 8, HeadWidth = 64; // The original's code fixes both, and its files do not say them.

    /// <param name="model">The model that training began with, or any model directory of OpenFlamingo's form.</param>
    /// <param name="weights">The trained values; null for those of <paramref name="model"/>.</param>
    /// <param name="file">The file to create. It must not exist. It is written beside and renamed.</param>
    /// <param name="cancellation">Checked before each tensor.</param>
    /// <exception cref="CheckpointException">
    /// The model has another form than OpenFlamingo's (see <see cref="ThrowIfOther"/>), the file exists, the disk is too small, or a value
    /// is not finite. Nothing was written.
    /// </exception>
    public static void Write(ModelDirectory model, BridgeWeights? weights, string file, CancellationToken cancellation)
    {
        ThrowIfOther(model.Config);
        file = Path.GetFullPath(file);
        if (Path.Exists(file)) throw new CheckpointException($"{file} exists already. Name another file, or delete it.");
        var folder = Directory.CreateDirectory(Path.GetDirectoryName(file)!).FullName;
        using var tensors = new TrainedTensors(model, weights, "F32");
        var (names, language) = (new OriginalNames(model.Config.Language), model.Config.Language);
        List<SourceTensor> saved =
        [
            .. tensors.Resampler.Select(tensor => Wide(tensor.Value, names.Of(BridgeWeights.Resampler + tensor.Key), cancellation)),
            Wide(tensors.Language["token_embedding.weight"], names.Embedding, cancellation),
            .. tensors.Language.Where(tensor => BridgeWeights.IsGated(tensor.Key))
                .Select(tensor => Wide(tensor.Value, names.Of(tensor.Key), cancellation)),
        ];
        var secondNames = new Dictionary<string, string>();
        // The original saves what its training may change and whatever is called an embedding. LLaMA's untied head is neither, so it is in
        // the language model's own files; but a head that got new rows here is in no file yet.
        if (language.TiedEmbeddings && names.HasTiedHead) secondNames[names.Head] = names.Embedding;
        else if (!language.TiedEmbeddings && (names.SavesHead || model.Config.Provenance.Layout == BridgeAssembly.Layout))
            saved.Add(Wide(tensors.Language["output.weight"], names.Head, cancellation));

        var space = new DriveInfo(folder).AvailableFreeSpace;
        if (saved.Sum(tensor => tensor.Length) is var bytes && bytes > space)
            throw new CheckpointException($"{file} takes {bytes / (double)(1 << 30):0.0} GiB and its disk has "
                + $"{space / (double)(1 << 30):0.0} GiB left. Free some space, or name a file on another disk.");
        var unfinished = $"{file}.writing-{Environment.ProcessId}";
        try
        {
            TorchFile.WriteStateDict(unfinished, saved, secondNames: secondNames);
            File.Move(unfinished, file, overwrite: false);
        }
        finally
        {
            File.Delete(unfinished);
        }
    }

    /// <summary>Refuses a model that OpenFlamingo's code cannot compute. A caller may ask before it trains.</summary>
    /// <exception cref="CheckpointException">The message says what is different.</exception>
    public static void ThrowIfOther(ModelConfig config)
    {
        var (resampler, gated) = (config.Resampler, config.Language.CrossAttention);
        var every = gated.Layers.Count == 0 ? 0 : gated.Layers[0] + 1;
        var fault =
            gated.Norm != "layer_norm" || gated.QueryKeyNorm != "none" || gated.FeedForward != "gelu" || gated.VectorGates
                ? "its gated blocks are not OpenFlamingo's (IDEFICS has others)"
            : resampler.PassesOn ? "it has no resampler"
            : resampler.QueryKeyNorm != "none" || resampler.Activation != "gelu"
                ? "its resampler is not OpenFlamingo's (IDEFICS has another)"
            : (resampler.Heads, resampler.HeadWidth) != (Heads, HeadWidth) || (gated.Heads, gated.HeadWidth) != (Heads, HeadWidth)
                ? $"OpenFlamingo's code has {Heads} heads of width {HeadWidth} in resampler and gated blocks, this model "
                    + $"{resampler.Heads} of {resampler.HeadWidth} and {gated.Heads} of {gated.HeadWidth}"
            : config.Vision.ClassTokenInFeatures ? "its resampler reads the class token, OpenFlamingo's reads the patches alone"
            : every == 0
                || !Enumerable.Range(0, config.Language.Layers).Where(layer => (layer + 1) % every == 0).SequenceEqual(gated.Layers)
                ? $"its gated blocks stand before the layers {string.Join(", ", gated.Layers)}, which is no interval"
            : null;
        if (fault is not null)
            throw new CheckpointException($"{config.ModelId} cannot be exported for OpenFlamingo: {fault}. Its model directory is complete "
                + "without the export.");
    }

    private static SourceTensor Wide(SourceTensor tensor, string name, CancellationToken cancellation) => tensor with
    {
        Name = name, Dtype = "F32",
        Read = () =>
        {
            cancellation.ThrowIfCancellationRequested();
            var bytes = WeightDtypes.Convert(tensor.Read(), tensor.Dtype, "F32");
            return WeightDtypes.IsFinite(bytes, "F32") ? bytes
                : throw new CheckpointException($"{tensor.Name} has values that are not finite; no checkpoint was written.");
        },
    };
}
