using Flamingo.Checkpoints;
using Flamingo.Import.OpenFlamingo;

namespace Flamingo.Import;

/// <summary>An OpenFlamingo publication on disk.</summary>
/// <param name="Vision">
/// CLIP weights of open_clip (open_clip_config.json beside them), OpenAI (its TorchScript archive) or Hugging Face (config.json beside
/// them): a file or a folder.
/// </param>
/// <param name="Language">Hugging Face folder of the language model.</param>
/// <param name="Checkpoint">checkpoint.pt.</param>
/// <param name="CrossAttentionEvery">A gated block stands before decoder layer i where (i + 1) is a multiple of this.</param>
public sealed record OpenFlamingoSource(string Vision, string Language, string Checkpoint, int CrossAttentionEvery)
{
    /// <summary>F32, F16 or BF16 for all weights; null keeps each weight's own.</summary>
    public string? Dtype { get; init; }

    /// <summary>drop, white or black: what becomes of transparency; null keeps what the family was trained with.</summary>
    public string? Alpha { get; init; }

    /// <summary>Name of the model; null takes the output folder's.</summary>
    public string? ModelId { get; init; }

    /// <summary>
    /// Reads the tokenizer.json that was written, by its path, as services will; throws a <see cref="CheckpointException"/> for one that
    /// they would refuse. Null leaves that to their start.
    /// </summary>
    public Action<string>? CheckTokenizer { get; init; }
}

/// <summary>
/// Turns an OpenFlamingo publication into a model directory. Nothing of it is left behind when it fails; where it stands already, nothing
/// is done.
/// </summary>
public static class OpenFlamingoImport
{
    /// <exception cref="CheckpointException">
    /// One report of everything missing, unexpected, misshapen or non-finite; or an output that exists.
    /// </exception>
    public static ModelDirectory Run(
        OpenFlamingoSource source, string output, IProgress<ImportProgress>? progress, CancellationToken cancellation,
        TimeProvider? time = null)
    {
        if (source.CrossAttentionEvery < 1)
            throw new CheckpointException($"--cross-attention-every is {source.CrossAttentionEvery}; it is 1 or more.");
        return ModelImport.Run(
            () => new OpenFlamingoReader(source), source.ModelId, output, progress, time ?? TimeProvider.System, cancellation);
    }
}
