using Flamingo.Checkpoints;
using Flamingo.Import.Idefics;

namespace Flamingo.Import;

/// <summary>An IDEFICS publication on disk: one Hugging Face folder with weights, tokenizer and configurations.</summary>
public sealed record IdeficsSource(string Folder)
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
/// Turns an IDEFICS publication into a model directory. Nothing of it is left behind when it fails; where it stands already, nothing is
/// done.
/// </summary>
public static class IdeficsImport
{
    /// <exception cref="CheckpointException">
    /// One report of everything missing, unexpected, misshapen or non-finite; or an output that exists.
    /// </exception>
    public static ModelDirectory Run(
        IdeficsSource source, string output, IProgress<ImportProgress>? progress, CancellationToken cancellation,
        TimeProvider? time = null) =>
        ModelImport.Run(() => new IdeficsReader(source), source.ModelId, output, progress, time ?? TimeProvider.System, cancellation);
}
