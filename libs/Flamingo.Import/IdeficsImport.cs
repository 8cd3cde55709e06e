using Flamingo.Checkpoints;
using Flamingo.Import.Idefics;

namespace Flamingo.Import;

/// <summary>An IDEFICS publication on disk: one Hugging Face folder with weights, tokenizer and configurations.</summary>
public sealed record IdeficsSource(string Folder)
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
/// Converts an IDEFICS publication into a model directory. A failed import leaves no files. An import whose result exists already
/// changes nothing.
/// </summary>
public static class IdeficsImport
{
    /// <exception cref="CheckpointException">
    /// The publication has faults; the message lists every missing, unexpected, misshapen or non-finite tensor. Or the output exists and
    /// is the result of another import.
    /// </exception>
    public static ModelDirectory Run(IdeficsSource source, string output, IProgress<ImportProgress>? progress,
        CancellationToken cancellation, TimeProvider? time = null) =>
        ModelImport.Run(() => new IdeficsReader(source), source.ModelId, output, progress, time ?? TimeProvider.System, cancellation);
}
