using Flamingo.Checkpoints;
using Flamingo.Import.Sources;

namespace Flamingo.Import.Vision;

/// <summary>
/// Translates the vision tower of a CLIP that open_clip, OpenAI or Hugging Face has published. The text tower is not imported.
/// </summary>
internal static class VisionTranslation
{
    // These values apply if a publication gives no mean or standard deviation (open_clip's OPENAI_DATASET_MEAN and OPENAI_DATASET_STD).
    public static readonly float[] ClipMean = [0.48145466f, 0.4578275f, 0.40821073f];
    public static readonly float[] ClipStd = [0.26862954f, 0.26130258f, 0.27577711f];

    /// <param name="source">The published weights.</param>
    /// <param name="folder">Folder of the configuration files.</param>
    /// <param name="weights">Collects the tensors.</param>
    /// <param name="report">Takes faults and warnings, such as keys that this build does not know.</param>
    public static VisionConfig Translate(WeightSource source, string folder, WeightCollector weights, ImportReport report)
    {
        var isHuggingFace = weights.Has(HuggingFaceClip.ClassEmbedding);
        var file = Path.Combine(folder, isHuggingFace ? "config.json" : "open_clip_config.json");
        var config = ConfigJson.Within(file, () => isHuggingFace
            ? HuggingFaceClip.Translate(file, Path.Combine(folder, "preprocessor_config.json"), weights, report)
            : OpenClip.Translate(file, source.IsTorchScript, weights, report));
        weights.ReportUnused();
        return config;
    }
}
