using Flamingo.Checkpoints;
using Flamingo.Import.OpenFlamingo;

namespace Flamingo.Import;

/// <summary>The parts of an OpenFlamingo-like model that nobody has trained yet.</summary>
/// <param name="Vision">File or folder of CLIP weights (see <see cref="OpenFlamingoSource"/>).</param>
/// <param name="Language">Hugging Face folder of the language model.</param>
/// <param name="CrossAttentionEvery">
/// Interval of the gated blocks, 1 or more: a block is computed before decoder layer i (counted from 0) if (i + 1) is a multiple of it.
/// </param>
public sealed record BridgeParts(string Vision, string Language, int CrossAttentionEvery)
{
    /// <summary>Latents of one picture.</summary>
    public int Latents { get; init; } = 64;

    /// <summary>Layers of the resampler.</summary>
    public int ResamplerDepth { get; init; } = 6;

    /// <summary>Chooses the new weights: equal parts, settings and seeds give equal models.</summary>
    public long Seed { get; init; }

    /// <summary>Dtype of all weights: F32, F16 or BF16. Null keeps the published dtypes; new weights are then F32.</summary>
    public string? Dtype { get; init; }

    /// <summary>Name of the model. Null takes the name of the output folder.</summary>
    public string? ModelId { get; init; }

    /// <inheritdoc cref="OpenFlamingoSource.CheckTokenizer"/>
    public Action<string>? CheckTokenizer { get; init; }
}

/// <summary>
/// Makes a model directory of a CLIP and a language model, with a new resampler and new gated blocks between them. The gates are zero, so
/// the model computes exactly what the language model alone computes, until training opens them. A failed assembly leaves no files. An
/// assembly whose result exists already changes nothing.
/// </summary>
public static class BridgeAssembly
{
    /// <summary>The layout that the provenance of such a model names.</summary>
    public const string Layout = "openflamingo-parts";

    private const int MostLatents = 10_000, DeepestResampler = 1_000;

    /// <exception cref="CheckpointException">
    /// The parts have faults or do not fit each other; the message lists them. Or the output exists and is something else.
    /// </exception>
    public static ModelDirectory Run(BridgeParts parts, string output, IProgress<ImportProgress>? progress,
        CancellationToken cancellation, TimeProvider? time = null)
    {
        Check("--cross-attention-every", parts.CrossAttentionEvery, int.MaxValue);
        Check("--latents", parts.Latents, MostLatents);
        Check("--resampler-depth", parts.ResamplerDepth, DeepestResampler);
        var source = new OpenFlamingoSource(parts.Vision, parts.Language, Checkpoint: "", parts.CrossAttentionEvery)
        {
            Dtype = parts.Dtype, ModelId = parts.ModelId, CheckTokenizer = parts.CheckTokenizer,
        };
        var bridge = new NewBridge(parts.Latents, parts.ResamplerDepth, parts.Seed);
        return ModelImport.Run(() => new OpenFlamingoReader(source, bridge), parts.ModelId, output, progress, time ?? TimeProvider.System,
            cancellation);
    }

    private static void Check(string option, int value, int most)
    {
        if (value < 1 || value > most)
            throw new CheckpointException(
                $"{option} is {value}; it must be 1 or more{(most < int.MaxValue ? $", and at most {most}" : "")}.");
    }
}
