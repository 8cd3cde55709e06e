using Flamingo.Checkpoints;
using Flamingo.Import.Sources;

namespace Flamingo.Import;

/// <summary>Progress of an import.</summary>
/// <param name="Tensor">Canonical name of the tensor that was written last, or name of the file that was hashed last.</param>
/// <param name="Done">Bytes that were written or hashed so far.</param>
/// <param name="Total">Bytes that the whole import writes and hashes.</param>
public sealed record ImportProgress(string Tensor, long Done, long Total)
{
    /// <summary>Estimated remaining time; null during the first second.</summary>
    public TimeSpan? Left { get; init; }

    public override string ToString() => Left is { } left ? $"{Tensor}, about {Words(left)} left" : Tensor;

    private static string Words(TimeSpan time) =>
        time.TotalMinutes >= 1.5 ? $"{time.TotalMinutes:0} min" : $"{Math.Max(1, time.TotalSeconds):0} s";
}

/// <summary>
/// The steps of an import that all layouts share: read, write and hash in a temporary directory, then rename it to the output. A failed
/// or cancelled import leaves no files; the next import into the same output removes the files of an import that was killed. Repeating a
/// finished import changes nothing.
/// </summary>
internal static class ModelImport
{
    /// <exception cref="CheckpointException">
    /// The publication has faults; the message lists every missing, unexpected, misshapen or non-finite tensor. Or the output exists and
    /// is not the result of an equal import.
    /// </exception>
    public static ModelDirectory Run(Func<IPublicationReader> open, string? modelId, string output, IProgress<ImportProgress>? progress,
        TimeProvider time, CancellationToken cancellation)
    {
        output = Path.TrimEndingDirectorySeparator(Path.GetFullPath(output));
        modelId ??= Path.GetFileName(output);
        if (Path.Exists(output) && !File.Exists(Path.Combine(output, ModelDirectory.ConfigFile))) throw Exists(output);
        try
        {
            using var reader = open();
            if (reader.Dtype is { } dtype && !WeightDtypes.All.Contains(dtype))
                throw new CheckpointException($"'{dtype}' is not a dtype of weights; take one of {string.Join(", ", WeightDtypes.All)}.");
            if (Path.Exists(output))
                return FinishedImport.Find(reader, modelId, output, progress, time, cancellation) ?? throw Exists(output);
            UnfinishedImport.RemoveAbandoned(output);
            var unfinished = UnfinishedImport.Begin(output);
            try
            {
                Write(reader, unfinished, modelId, progress, time, cancellation);
                // Another import finished first. Its files stay, because a service may have mapped them already.
                if (Path.Exists(output)) throw Exists(output);
                Directory.Move(unfinished, output);
            }
            finally
            {
                if (Directory.Exists(unfinished)) Directory.Delete(unfinished, recursive: true);
            }
        }
        catch (Exception exception) when (exception is KeyNotFoundException or InvalidOperationException or FormatException
            or ArithmeticException)
        {
            throw new CheckpointException("A configuration file of the publication lacks a value or has a value of the wrong kind: "
                + exception.Message, exception);
        }

        return ModelDirectory.Open(output);
    }

    private static void Write(IPublicationReader reader, string folder, string modelId, IProgress<ImportProgress>? progress,
        TimeProvider time, CancellationToken cancellation)
    {
        var report = new ImportReport();
        var publication = reader.Read(report);
        var (faults, notes) = (report.Faults, report.Notes);
        ThrowIfAny(faults);

        var meter = new ProgressMeter(progress, time,
            publication.Parts.Sum(part => 2 * Bytes(part.Tensors.Values, reader.Dtype)) + reader.Files.Sum(TextFile.Length));
        UnfinishedImport.CheckSpace(folder, publication.Parts.Sum(part => Bytes(part.Tensors.Values, reader.Dtype)));
        // The tokenizer is written first: it is small, and a fault in it ends the import before gigabytes are written.
        var tokens = reader.WriteTokenizer(Path.Combine(folder, ModelDirectory.TokenizerFile), publication.Language.VocabularySize);
        var preprocessing = publication.Vision.Preprocessing;
        var config = new ModelConfig
        {
            FormatVersion = ModelConfig.CurrentFormatVersion,
            ModelId = modelId,
            Vision = publication.Vision with { Preprocessing = preprocessing with { Alpha = reader.Alpha ?? preprocessing.Alpha } },
            Resampler = publication.Resampler,
            Language = publication.Language,
            Tokens = tokens,
            Prompts = reader.Prompts(tokens),
            Weights = new Dictionary<string, WeightsFile>(),
            Provenance = new Provenance { Layout = reader.Layout, Tool = FinishedImport.Tool, Sources = [] },
        };
        ModelDirectory.ThrowIfFaulty(string.Join(", ",
            reader.Files.Where(file => file.EndsWith("config.json", StringComparison.Ordinal)).DefaultIfEmpty(reader.Files[0])), config);
        foreach (var (part, tensors) in publication.Parts)
            SafetensorsWriter.Write(Path.Combine(folder, $"{part}.safetensors"), tensors, reader.Dtype, meter.Add, faults, cancellation);
        ThrowIfAny(faults);

        if (reader.Dtype is not null) notes.Add($"weights converted to {reader.Dtype}");
        ModelDirectory.WriteConfig(folder, config with
        {
            Weights = publication.Parts.ToDictionary(part => part.Part,
                part => Describe(folder, $"{part.Part}.safetensors", meter, cancellation)),
            Provenance = config.Provenance with
            {
                Settings = reader.Settings,
                Sources = [.. reader.Files.Select(file => SourceHash.Of(file, meter, cancellation))],
                Note = notes.Count == 0 ? null : string.Join("; ", notes),
                Warnings = report.Warnings.Count == 0 ? null : report.Warnings,
            },
        });
    }

    private static long Bytes(IEnumerable<SourceTensor> tensors, string? dtype) =>
        tensors.Sum(tensor => tensor.Length / WeightDtypes.Size(tensor.Dtype) * WeightDtypes.Size(dtype ?? tensor.Dtype));

    /// <summary>Computes what flamingo.json says about a weight file.</summary>
    public static WeightsFile Describe(string folder, string name, ProgressMeter meter, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        var path = Path.Combine(folder, name);
        using var file = SafetensorsFile.Open(path);
        var digest = WeightsDigest.Compute(file, _ => true);
        var latent = file.Entries.Keys.All(WeightsDigest.ShapesLatents) ? digest : WeightsDigest.Compute(file, WeightsDigest.ShapesLatents);
        meter.Add(name, file.Entries.Values.Sum(entry => entry.Length));
        return new WeightsFile(name, new FileInfo(path).Length, file.HeaderSha256, digest, latent);
    }

    private static void ThrowIfAny(List<string> faults)
    {
        if (faults.Count > 0)
            throw new CheckpointException("The parts of the publication do not fit each other; no model was written:\n  "
                + string.Join("\n  ", faults.Distinct()));
    }

    /// <summary>The error about an output that exists.</summary>
    public static CheckpointException Exists(string output) => new($"{output} exists already. Name another --output, or delete it.");
}
