using Flamingo.Checkpoints;
using Flamingo.Import.Sources;

namespace Flamingo.Import;

/// <summary>What an import reports besides the model.</summary>
internal sealed record ImportReport
{
    /// <summary>Everything missing, unexpected, misshapen or not computed by this build: any of them ends the import.</summary>
    public List<string> Faults { get; } = [];

    /// <summary>What the user should look at, because the model may compute something else than the original.</summary>
    public List<string> Warnings { get; } = [];

    /// <summary>What the user should know, though it is no fault.</summary>
    public List<string> Notes { get; } = [];
}

/// <summary>
/// A publication as its layout was understood. Its tensors are not read yet, and need the files that its <see cref="IPublicationReader"/>
/// holds open.
/// </summary>
/// <param name="Parts">vision, resampler, language: tensors by canonical name.</param>
internal sealed record Publication(
    VisionConfig Vision, ResamplerConfig Resampler, LanguageConfig Language, IReadOnlyList<(
        string Part, IReadOnlyDictionary<string, SourceTensor> Tensors)> Parts);

/// <summary>Opened files of one layout.</summary>
internal interface IPublicationReader : IDisposable
{
    string Layout { get; }

    /// <summary>Everything besides the files that shapes the result, in words: the same files and settings are the same import.</summary>
    string Settings { get; }

    /// <summary>F32, F16 or BF16 for all weights; null keeps each weight's own.</summary>
    string? Dtype { get; }

    /// <summary>drop, white or black: what becomes of transparency; null keeps what the family was trained with.</summary>
    string? Alpha { get; }

    /// <summary>Every file that is read.</summary>
    IReadOnlyList<string> Files { get; }

    /// <param name="report">Takes what was found.</param>
    Publication Read(ImportReport report);

    /// <summary>Writes tokenizer.json.</summary>
    /// <param name="vocabulary">Rows of the token embedding.</param>
    TokensConfig WriteTokenizer(string file, int vocabulary);

    /// <summary>How the checkpoint was trained to be asked.</summary>
    PromptsConfig Prompts(TokensConfig tokens);
}
