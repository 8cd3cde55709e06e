using Flamingo.Checkpoints;

namespace Flamingo.Import;

/// <summary>
/// Recognises the result of the same import: same layout, settings, tool and name, from the same files byte for byte, and still whole.
/// </summary>
internal static class FinishedImport
{
    // Raise this whenever the same files give another model than before, or are refused now.
    private const int Rules = 2;

    public static string Tool { get; } = $"flamingo import {typeof(FinishedImport).Assembly.GetName().Version!.ToString(3)}, rules {Rules}";

    /// <returns>The model that stands there, or null where it is another.</returns>
    public static ModelDirectory? Find(
        IPublicationReader reader, string modelId, string output, IProgress<ImportProgress>? progress, TimeProvider time,
        CancellationToken cancellation)
    {
        try
        {
            var model = ModelDirectory.Open(output);
            var made = model.Config.Provenance;
            if (model.Config.ModelId != modelId || (made.Layout, made.Tool, made.Settings) != (reader.Layout, Tool, reader.Settings))
                return null;
            // Sizes are compared first, because that costs nothing.
            var files = reader.Files.Select(file => (Path.GetFileName(file), TextFile.Length(file)));
        if (!made.Sources.Select(source => (source.File, source.Bytes)).SequenceEqual(files)) return null;
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
