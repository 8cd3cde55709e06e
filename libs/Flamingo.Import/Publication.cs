using Flamingo.Checkpoints;
using Flamingo.Import.Sources;

namespace Flamingo.Import;

/// <summary>Messages that an import collects for its user.</summary>
internal sealed record ImportReport
{
    /// <summary>Whatever is missing, unexpected, misshapen or not computed by this build. A fault ends the import.</summary>
    public List<string> Faults { get; } = [];

    /// <summary>Reasons why the imported model may compute something else than the original. They do not end the import.</summary>
    public List<string> Warnings { get; } = [];

    /// <summary>Decisions of the importer that the user should know.</summary>
    public List<string> Notes { get; } = [];
}

/// <summary>
/// A publication translated to this project's configuration and tensor names. The elements of its tensors are read later, from the files
/// that its <see cref="IPublicationReader"/> keeps open.
/// </summary>
/// <param name="Vision">Configuration of the vision tower.</param>
/// <param name="Resampler">Configuration of the resampler.</param>
/// <param name="Language">Configuration of the language model.</param>
/// <param name="Parts">The parts vision, resampler and language, each with its tensors by canonical name.</param>
internal sealed record Publication(
    VisionConfig Vision, ResamplerConfig Resampler, LanguageConfig Language,
    IReadOnlyList<(string Part, IReadOnlyDictionary<string, SourceTensor> Tensors)> Parts);

/// <summary>Reads the opened files of a publication of one layout. Disposing it closes the files.</summary>
internal interface IPublicationReader : IDisposable
{
    /// <summary>Name of the layout, such as openflamingo.</summary>
    string Layout { get; }

    /// <summary>Options of the import that change its result, as text. Imports with equal files and equal settings are equal.</summary>
    string Settings { get; }

    /// <summary>Dtype of all weights: F32, F16 or BF16. Null keeps the published dtype of each weight.</summary>
    string? Dtype { get; }

    /// <summary>How transparent pixels become opaque: drop, white or black. Null takes the mode that the family was trained with.</summary>
    string? Alpha { get; }

    /// <summary>Paths of all files that the import reads.</summary>
    IReadOnlyList<string> Files { get; }

    /// <summary>Translates configurations and lists the tensors.</summary>
    /// <param name="report">Takes faults, warnings and notes.</param>
    Publication Read(ImportReport report);

    /// <summary>Writes tokenizer.json.</summary>
    /// <param name="file">Path of the file to write.</param>
    /// <param name="vocabulary">Rows of the token embedding; every token id must be below it.</param>
    TokensConfig WriteTokenizer(string file, int vocabulary);

    /// <summary>Returns the prompt templates that the checkpoint was trained with.</summary>
    PromptsConfig Prompts(TokensConfig tokens);
}
