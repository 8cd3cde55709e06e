using Flamingo.Checkpoints;
using Flamingo.Import.OpenFlamingo;

namespace Flamingo.Import;

/// <summary>An OpenFlamingo publication on disk.</summary>
/// <param name="Vision">
/// File or folder of CLIP weights: of open_clip (with open_clip_config.json beside them), of OpenAI (the TorchScript archive) or of
/// Hugging Face (with config.json beside them).
/// </param>
/// <param name="Language">Hugging Face folder of the language model.</param>
/// <param name="Checkpoint">Path of checkpoint.pt.</param>
/// <param name="CrossAttentionEvery">
/// Interval of the gated blocks, 1 or more: a block is computed before decoder layer i (counted from 0) if (i + 1) is a multiple of it.
/// </param>
public sealed record OpenFlamingoSource(string Vision, string Language, string Checkpoint, int CrossAttentionEvery)
{
    /// <summary>Dtype of all weights: F32, F16 or BF16. Null keeps the published dtype of each weight.</summary>
    public string? Dtype { get; init; }

    /// <summary>
    /// How transparent pixels become opaque: drop, white or black (see <see cref="PreprocessingConfig.Alpha"/>). Null takes the mode that
    /// the family was trained with.
    /// </summary>
    public string? Alpha { get; init; }

    /// <summary>Name of the model. Null takes the name of the output folder.</summary>
    public string? ModelId { get; init; }

    /// <summary>
    /// Receives the path of the written tokenizer.json and throws a <see cref="CheckpointException"/> if the services would refuse the
    /// file. Null skips the check; a service then reports the fault when it starts.
    /// </summary>
    public Action<string>? CheckTokenizer { get; init; }
}

/// <summary>
/// Converts an OpenFlamingo publication into a model directory. A failed import leaves no files. An import whose result exists already
/// changes nothing.
/// </summary>
public static class OpenFlamingoImport
{
    /// <exception cref="CheckpointException">
    /// The publication has faults; the message lists every missing, unexpected, misshapen or non-finite tensor. Or the output exists and
    /// is the result of another import.
    /// </exception>
    public static ModelDirectory Run(OpenFlamingoSource source, string output, IProgress<ImportProgress>? progress,
        CancellationToken cancellation, TimeProvider? time = null)
    {
        if (source.CrossAttentionEvery < 1)
            throw new CheckpointException($"--cross-attention-every is {source.CrossAttentionEvery}; it must be 1 or more.");
        return ModelImport.Run(() => new OpenFlamingoReader(source), source.ModelId, output, progress, time ?? TimeProvider.System,
            cancellation);
    }
}
