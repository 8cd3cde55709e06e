using Flamingo.Checkpoints;
using Flamingo.Import.Sources;

namespace Flamingo.Import.Vision;

/// <summary>A CLIP's vision tower, as open_clip, OpenAI or Hugging Face published it; the text tower is left behind.</summary>
internal static class VisionTranslation
{
    // where a publication names no preprocessing (OPENAI_DATASET_MEAN and _STD)
    public static readonly float[] ClipMean = [0.48145466f, 0.4578275f, 0.40821073f];
    public static readonly float[] ClipStd = [0.26862954f, 0.26130258f, 0.27577711f];

    /// <param name="folder">Where the configuration files stand.</param>
    /// <param name="report">
    /// Takes the keys of the configurations that would be computed wrongly, and those that this build does not know.
    /// </param>
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
