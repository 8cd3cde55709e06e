using System.Security.Cryptography;
using Flamingo.Checkpoints;
using Flamingo.Import.OpenFlamingo;
using Flamingo.Import.Sources;

namespace Flamingo.Import;

/// <summary>An OpenFlamingo publication on disk.</summary>
/// <param name="Vision">open_clip weights: a file or a folder; open_clip_config.json stands beside them.</param>
/// <param name="Language">Hugging Face folder of the language model.</param>
/// <param name="Checkpoint">checkpoint.pt.</param>
/// <param name="CrossAttentionEvery">A gated block stands before decoder layer i where (i + 1) is a multiple of this.</param>
public sealed record OpenFlamingoSource(string Vision, string Language, string Checkpoint, int CrossAttentionEvery)
{
    /// <summary>F32, F16 or BF16 for all weights; null keeps each weight's own.</summary>
    public string? Dtype { get; init; }

    /// <summary>Name of the model; null takes the output folder's.</summary>
    public string? ModelId { get; init; }
}

/// <param name="Tensor">Canonical name of the tensor just written, or the file just hashed.</param>
/// <param name="Done">Bytes, of <paramref name="Total"/>.</param>
public sealed record ImportProgress(string Tensor, long Done, long Total);

/// <summary>Turns an OpenFlamingo publication into a model directory. Nothing of it is left behind when it fails.</summary>
public static class OpenFlamingoImport
{
    private static readonly string[] Dtypes = ["F32", "F16", "BF16"];

    /// <exception cref="CheckpointException">One report of everything missing, unexpected, misshapen or non-finite; or an output that exists.</exception>
    public static ModelDirectory Run(OpenFlamingoSource source, string output, IProgress<ImportProgress>? progress, CancellationToken cancellation)
    {
        output = Path.TrimEndingDirectorySeparator(Path.GetFullPath(output));
        if (Path.Exists(output)) throw new CheckpointException($"{output} exists already. Name another --output, or delete it.");
        if (source.CrossAttentionEvery < 1) throw new CheckpointException($"--cross-attention-every is {source.CrossAttentionEvery}; it is 1 or more.");
        if (source.Dtype is not null && !Dtypes.Contains(source.Dtype)) throw new CheckpointException($"'{source.Dtype}' is no weight dtype; take one of {string.Join(", ", Dtypes)}.");
        var unfinished = $"{output}.importing-{Environment.ProcessId}";
        Directory.CreateDirectory(unfinished);
        try
        {
            Translate(source, unfinished, source.ModelId ?? Path.GetFileName(output), progress, cancellation);
            Directory.Move(unfinished, output);
        }
        catch (Exception exception) when (exception is KeyNotFoundException or InvalidOperationException or FormatException or ArithmeticException)
        {
            throw new CheckpointException($"A configuration file of the publication lacks a value or has one of the wrong kind: {exception.Message}", exception);
        }
        finally
        {
            if (Directory.Exists(unfinished)) Directory.Delete(unfinished, recursive: true);
        }

        return ModelDirectory.Open(output);
    }

    private static void Translate(OpenFlamingoSource source, string folder, string modelId, IProgress<ImportProgress>? progress, CancellationToken cancellation)
    {
        using var visionSource = WeightSource.Open(source.Vision);
        using var languageSource = WeightSource.Open(source.Language);
        using var checkpointSource = WeightSource.Open(source.Checkpoint);
        var faults = new List<string>();
        var visionFolder = Directory.Exists(source.Vision) ? source.Vision : Path.GetDirectoryName(Path.GetFullPath(source.Vision))!;
        var (vision, visionTensors) = VisionTranslation.Translate(visionSource, Path.Combine(visionFolder, "open_clip_config.json"), faults);
        var checkpoint = new WeightCollector(checkpointSource, "the checkpoint", faults);
        var resampler = ResamplerTranslation.Translate(checkpoint);
        var (language, languageTensors) = LanguageTranslation.Translate(languageSource, Path.Combine(source.Language, "config.json"), checkpoint, source.CrossAttentionEvery, resampler.Width, faults);
        checkpoint.ReportUnused();
        if (resampler.Width != vision.Width) faults.Add($"misfit: the vision tower is {vision.Width} wide, the resampler {resampler.Width}");
        ThrowIfAny(faults);

        // the checkpoint's tensors belong to two files: the resampler's keep their names, the rest are the language model's
        var resamplerTensors = checkpoint.Tensors.Where(item => item.Value.Name.StartsWith("perceiver.", StringComparison.Ordinal)).ToDictionary();
        foreach (var (name, tensor) in checkpoint.Tensors.Except(resamplerTensors)) languageTensors[name] = tensor;

        var parts = new (string Part, Dictionary<string, SourceTensor> Tensors)[] { ("vision", visionTensors), ("resampler", resamplerTensors), ("language", languageTensors) };
        var total = parts.Sum(part => part.Tensors.Values.Sum(tensor => tensor.Length));
        var done = 0L;
        foreach (var (part, tensors) in parts)
            SafetensorsWriter.Write(Path.Combine(folder, $"{part}.safetensors"), tensors, source.Dtype, (name, bytes) => progress?.Report(new ImportProgress(name, done += bytes, total)), faults, cancellation);
        ThrowIfAny(faults);

        var tokens = TokenizerTranslation.Translate(source.Language, Path.Combine(folder, ModelDirectory.TokenizerFile));
        ModelDirectory.WriteConfig(folder, new ModelConfig
        {
            FormatVersion = ModelConfig.CurrentFormatVersion,
            ModelId = modelId,
            Vision = vision,
            Resampler = resampler,
            Language = language,
            Tokens = tokens,
            Weights = parts.ToDictionary(part => part.Part, part => Describe(folder, $"{part.Part}.safetensors")),
            Provenance = new Provenance
            {
                Layout = "openflamingo",
                Tool = $"flamingo import {typeof(OpenFlamingoImport).Assembly.GetName().Version!.ToString(3)}",
                Sources = [.. visionSource.Files.Concat(languageSource.Files).Concat(checkpointSource.Files).Select(file => Hash(file, cancellation))],
                Note = source.Dtype is null ? null : $"weights converted to {source.Dtype}",
            },
        });
    }

    private static void ThrowIfAny(List<string> faults)
    {
        if (faults.Count > 0) throw new CheckpointException($"The publication does not fit together; nothing was written:\n  {string.Join("\n  ", faults.Distinct())}");
    }

    private static WeightsFile Describe(string folder, string name)
    {
        var path = Path.Combine(folder, name);
        using var file = SafetensorsFile.Open(path);
        return new WeightsFile(name, new FileInfo(path).Length, file.HeaderSha256, WeightsDigest.Compute(file, _ => true), WeightsDigest.Compute(file, WeightsDigest.ShapesLatents));
    }

    private static SourceFile Hash(string file, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        using var stream = File.OpenRead(file);
        return new SourceFile(Path.GetFileName(file), stream.Length, Convert.ToHexStringLower(SHA256.HashData(stream)));
    }
}
