using Flamingo.Checkpoints;

namespace Flamingo.Import;

/// <summary>
/// Recognises a model directory that an earlier, equal import wrote. Imports are equal if the layout, the settings, the tool, the
/// name of the model and the bytes of every published file are equal. The model directory must also be complete.
/// </summary>
internal static class FinishedImport
{
    // Raise this number whenever the importer makes another model of the same files than before, or refuses them now.
    private const int Rules = 2;

    public static string Tool { get; } = $"flamingo import {typeof(FinishedImport).Assembly.GetName().Version!.ToString(3)}, rules {Rules}";

    /// <returns>The model in the output directory, or null if another import wrote it.</returns>
    public static ModelDirectory? Find(IPublicationReader reader, string modelId, string output, IProgress<ImportProgress>? progress,
        TimeProvider time, CancellationToken cancellation)
    {
        try
        {
            var model = ModelDirectory.Open(output);
            var made = model.Config.Provenance;
            if (model.Config.ModelId != modelId || (made.Layout, made.Tool, made.Settings) != (reader.Layout, Tool, reader.Settings))
                return null;
            // Sizes are compared first, because hashing reads gigabytes.
            if (!made.Sources.Select(source => (source.File, source.Bytes))
                .SequenceEqual(reader.Files.Select(file => (Path.GetFileName(file), TextFile.Length(file))))) return null;
            var meter = new ProgressMeter(progress, time, made.Sources.Sum(source => source.Bytes));
            if (!made.Sources.SequenceEqual(reader.Files.Select(file => SourceHash.Of(file, meter, cancellation)))) return null;
            foreach (var part in model.Config.Weights.Keys) model.OpenWeights(part).Dispose();
            return File.Exists(model.TokenizerPath) ? model : null;
        }
        catch (CheckpointException)
        {
            return null;
        }
    }
}
