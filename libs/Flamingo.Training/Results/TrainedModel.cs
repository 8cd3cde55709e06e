using Flamingo.Checkpoints;
using Flamingo.Import;
using Flamingo.Import.Sources;
using Flamingo.Training.Network;

namespace Flamingo.Training.Results;

/// <summary>Writes the result of training as a model directory that services take.</summary>
public static class TrainedModel
{
    /// <summary>Name and version of this program, as the provenance of its results names it.</summary>
    public static string Tool { get; } = $"flamingo train {typeof(TrainedModel).Assembly.GetName().Version!.ToString(3)}";

    /// <param name="start">The model that training began with. Its vision tower and its tokenizer are copied.</param>
    /// <param name="weights">The trained weights.</param>
    /// <param name="output">The directory to create. It must not exist. It is written beside and renamed.</param>
    /// <param name="settings">What made the weights: the command line, and its figures.</param>
    /// <param name="cancellation">Checked before each tensor.</param>
    /// <param name="dtype">Dtype of what was trained (see <see cref="TrainedTensors"/>); null keeps that of the start.</param>
    /// <param name="modelId">Name of the model. Null takes the name of the output folder.</param>
    /// <exception cref="CheckpointException">
    /// The output exists, the disk is too small, or a trained value is not finite. Nothing was written.
    /// </exception>
    public static ModelDirectory Write(ModelDirectory start, BridgeWeights weights, string output, string settings,
        CancellationToken cancellation, string? dtype = null, string? modelId = null)
    {
        using var tensors = new TrainedTensors(start, weights, dtype);
        var parts = new Dictionary<string, IReadOnlyDictionary<string, SourceTensor>>
        {
            ["resampler"] = tensors.Resampler, ["language"] = tensors.Language,
        };
        modelId ??= Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(output)));
        return ModelRewrite.Write(start, parts, config => config with
        {
            ModelId = modelId,
            // The layout and the published files stay: they say what the frozen parts are and whose names the weights have.
            Provenance = config.Provenance with { Tool = Tool, Settings = $"{settings}; began with {Origin(config)}" },
        }, output, cancellation);
    }

    private static string Origin(ModelConfig start) =>
        $"{start.ModelId} (resampler {start.Weights["resampler"].Digest[..16]}, language {start.Weights["language"].Digest[..16]}; "
            + $"{start.Provenance.Tool}{(start.Provenance.Settings is { } settings ? $": {settings}" : "")})";
}
