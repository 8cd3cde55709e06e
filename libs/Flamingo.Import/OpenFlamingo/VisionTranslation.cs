using System.Text.Json;
using Flamingo.Checkpoints;
using Flamingo.Import.Sources;

namespace Flamingo.Import.OpenFlamingo;

/// <summary>open_clip's vision tower; the text tower is left behind.</summary>
internal static class VisionTranslation
{
    // what open_clip takes where its config names no preprocessing (OPENAI_DATASET_MEAN and _STD)
    private static readonly float[] ClipMean = [0.48145466f, 0.4578275f, 0.40821073f];
    private static readonly float[] ClipStd = [0.26862954f, 0.26130258f, 0.27577711f];

    public static (VisionConfig Config, Dictionary<string, SourceTensor> Tensors) Translate(WeightSource source, string configFile, List<string> faults)
    {
        using var json = ConfigJson.Open(configFile);
        var model = json.RootElement.GetProperty("model_cfg");
        var vision = model.GetProperty("vision_cfg");
        var width = vision.GetProperty("width").GetInt32();
        var patch = vision.GetProperty("patch_size").GetInt32();
        var size = vision.GetProperty("image_size").GetInt32();
        var layers = vision.GetProperty("layers").GetInt32();
        var preprocess = json.RootElement.TryGetProperty("preprocess_cfg", out var given) ? given : default;
        var weights = new WeightCollector(source, "the vision weights", faults);
        var hidden = (int)(weights.ShapeOf("visual.transformer.resblocks.0.mlp.c_fc.weight", 2)?[0] ?? 0);
        var pooled = weights.Has("visual.proj") && weights.ShapeOf("visual.proj", 2) is [_, var columns] ? (int)columns : 0;
        var side = size / patch;

        weights.Take("class_embedding", "visual.class_embedding", width);
        weights.Take("positional_embedding", "visual.positional_embedding", 1 + (side * side), width);
        weights.Take("conv1.weight", "visual.conv1.weight", width, 3, patch, patch);
        Norm("ln_pre");
        for (var layer = 0; layer < layers; layer++)
        {
            var block = $"transformer.resblocks.{layer}";
            Norm($"{block}.ln_1");
            Norm($"{block}.ln_2");
            Keep($"{block}.attn.in_proj_weight", 3 * width, width);
            Keep($"{block}.attn.in_proj_bias", 3 * width);
            Linear($"{block}.attn.out_proj", width, width);
            Linear($"{block}.mlp.c_fc", width, hidden);
            Linear($"{block}.mlp.c_proj", hidden, width);
        }

        if (pooled > 0)
        {
            Norm("ln_post");
            Keep("proj", width, pooled);
        }

        weights.Ignore(name => !name.StartsWith("visual.", StringComparison.Ordinal) || name == "visual.ln_post.weight" || name == "visual.ln_post.bias");
        weights.ReportUnused();
        return (new VisionConfig
        {
            ImageSize = size,
            PatchSize = patch,
            Width = width,
            Layers = layers,
            Heads = width / (vision.TryGetProperty("head_width", out var head) ? head.GetInt32() : 64),
            FeedForwardWidth = hidden,
            PooledWidth = pooled,
            Activation = model.TryGetProperty("quick_gelu", out var quick) && quick.GetBoolean() ? "quick_gelu" : "gelu",
            Preprocessing = new PreprocessingConfig { Resize = "shortest_side_crop", Alpha = "drop", Mean = Numbers("mean") ?? ClipMean, Std = Numbers("std") ?? ClipStd },
        }, weights.Tensors);

        float[]? Numbers(string name) => preprocess.ValueKind == JsonValueKind.Object && preprocess.TryGetProperty(name, out var values) && values.ValueKind == JsonValueKind.Array
            ? [.. values.EnumerateArray().Select(value => value.GetSingle())]
            : null;
        void Keep(string name, params ReadOnlySpan<long> shape) => weights.Take(name, $"visual.{name}", shape);
        void Norm(string name)
        {
            Keep($"{name}.weight", width);
            Keep($"{name}.bias", width);
        }

        void Linear(string name, long inputs, long outputs)
        {
            Keep($"{name}.weight", outputs, inputs);
            Keep($"{name}.bias", outputs);
        }
    }
}
