using System.Text.Json;
using Flamingo.Checkpoints;
using Flamingo.Import.Sources;

namespace Flamingo.Import.Vision;

/// <summary>
/// Translates a vision tower of open_clip or OpenAI. Both use the canonical names with the prefix <c>visual.</c>
/// </summary>
internal static class OpenClip
{
    // The keys of the text tower and of training are harmless, because the importer takes the vision tower only.
    private static readonly ConfigKeys ModelKeys = new(
        "embed_dim quick_gelu vision_cfg",
        "text_cfg custom_text init_logit_scale init_logit_bias nonscalar_logit_scale output_dict cast_dtype",
        ("multimodal_cfg", []));

    private static readonly ConfigKeys VisionKeys = new(
        "image_size layers width head_width patch_size mlp_ratio",
        "patch_dropout output_tokens attn_pooler_queries attn_pooler_heads n_queries attentional_pooler_heads timm_model_pretrained "
            + "timm_drop timm_drop_path timm_pool timm_proj timm_proj_bias",
        ("timm_model_name", []), ("ls_init_value", []), ("attentional_pool", ["false"]), ("global_average_pool", ["false"]),
        ("pool_type", ["tok"]), ("no_ln_pre", ["false"]), ("pos_embed_type", ["learnable"]),
        ("final_ln_after_pool", ["false"]), ("input_patchnorm", ["false"]), ("act_kwargs", ["{}"]), ("norm_kwargs", ["{}"]),
        ("qk_norm", ["false"]), ("scaled_cosine_attn", ["false"]), ("scale_heads", ["false"]),
        ("scale_attn_inner", ["false"]), ("scale_attn", ["false"]), ("scale_fc", ["false"]), ("block_type", ["default"]));

    /// <param name="configFile">Path of open_clip_config.json.</param>
    /// <param name="isArchive">
    /// Whether the weights are OpenAI's TorchScript archive. It needs no configuration: all sizes follow from the shapes.
    /// </param>
    /// <param name="weights">Collects the tensors.</param>
    /// <param name="report">Takes faults and warnings.</param>
    public static VisionConfig Translate(string configFile, bool isArchive, WeightCollector weights, ImportReport report)
    {
        using var json = isArchive && !File.Exists(configFile) ? null : ConfigJson.Open(configFile);
        var model = json?.RootElement.GetProperty("model_cfg");
        var vision = model?.GetProperty("vision_cfg");
        var preprocess = json?.RootElement.Member("preprocess_cfg");
        var kernel = weights.ShapeOf("visual.conv1.weight", 4) ?? [0, 0, 1, 1];
        var positions = weights.ShapeOf("visual.positional_embedding", 2)?[0] ?? 1;
        var width = vision?.GetProperty("width").GetInt32() ?? (int)kernel[0];
        var patch = vision?.GetProperty("patch_size").GetInt32() ?? (int)kernel[2];
        var size = vision?.GetProperty("image_size").GetInt32() ?? patch * (int)Math.Sqrt(positions - 1);
        var layers = vision?.GetProperty("layers").GetInt32() ?? weights.Count("visual.transformer.resblocks", "ln_1.weight");
        var hidden = (int)(weights.ShapeOf("visual.transformer.resblocks.0.mlp.c_fc.weight", 2)?[0] ?? 0);
        var pooled = weights.Has("visual.proj") && weights.ShapeOf("visual.proj", 2) is [_, var columns] ? (int)columns : 0;
        var side = size / patch;

        if (json is not null) CheckKeys(json.RootElement, configFile, size, report);

        weights.Take("class_embedding", "visual.class_embedding", width);
        weights.Take("positional_embedding", "visual.positional_embedding", 1 + (side * side), width);
        weights.Take("conv1.weight", "visual.conv1.weight", width, 3, patch, patch);
        weights.TakeNorm("ln_pre", "visual.ln_pre", width, bias: true);
        for (var layer = 0; layer < layers; layer++)
        {
            var block = $"transformer.resblocks.{layer}";
            weights.TakeNorm($"{block}.ln_1", $"visual.{block}.ln_1", width, bias: true);
            weights.TakeNorm($"{block}.ln_2", $"visual.{block}.ln_2", width, bias: true);
            weights.Take($"{block}.attn.in_proj_weight", $"visual.{block}.attn.in_proj_weight", 3 * width, width);
            weights.Take($"{block}.attn.in_proj_bias", $"visual.{block}.attn.in_proj_bias", 3 * width);
            weights.TakeLinear($"{block}.attn.out_proj", $"visual.{block}.attn.out_proj", width, width, bias: true);
            weights.TakeLinear($"{block}.mlp.c_fc", $"visual.{block}.mlp.c_fc", hidden, width, bias: true);
            weights.TakeLinear($"{block}.mlp.c_proj", $"visual.{block}.mlp.c_proj", width, hidden, bias: true);
        }

        if (pooled > 0)
        {
            weights.TakeNorm("ln_post", "visual.ln_post", width, bias: true);
            weights.Take("proj", "visual.proj", width, pooled);
        }

        weights.Ignore(name =>
            !name.StartsWith("visual.", StringComparison.Ordinal)
                || name is "visual.ln_post.weight" or "visual.ln_post.bias" or "visual.input_resolution");
        return new VisionConfig
        {
            ImageSize = size,
            PatchSize = patch,
            Width = width,
            Layers = layers,
            Heads = Math.Max(1, width / (vision?.Integer("head_width", 64) ?? 64)),
            FeedForwardWidth = hidden,
            PooledWidth = pooled,
            Activation = model?.Flag("quick_gelu", false) ?? true ? "quick_gelu" : "gelu",
            Preprocessing = new PreprocessingConfig { Resize = "shortest_side_crop", Alpha = "drop",
                Mean = Numbers("mean") ?? VisionTranslation.ClipMean, Std = Numbers("std") ?? VisionTranslation.ClipStd },
        };

        float[]? Numbers(string name) =>
            preprocess?.Member(name) is { ValueKind: JsonValueKind.Array } values
                ? [.. values.EnumerateArray().Select(value => value.GetSingle())] : null;
    }

    private static void CheckKeys(JsonElement config, string file, int size, ImportReport report)
    {
        var model = config.GetProperty("model_cfg");
        new ConfigKeys("model_cfg preprocess_cfg", "version license").Check(config, file, report);
        ModelKeys.Check(model, file, report, "model_cfg.");
        VisionKeys.Check(model.GetProperty("vision_cfg"), file, report, "model_cfg.vision_cfg.");
        if (config.Member("preprocess_cfg") is not { } preprocess) return;
        new ConfigKeys("mean std", "fill_color", ("size", [$"{size}"]), ("mode", ["RGB"]), ("interpolation", ["bicubic"]),
            ("resize_mode", ["shortest"])).Check(preprocess, file, report, "preprocess_cfg.");
    }
}
