using System.Globalization;
using System.Text.Json;
using Flamingo.Checkpoints;
using Flamingo.Import.Sources;

namespace Flamingo.Import.Vision;

/// <summary>
/// Translates a vision tower that transformers has saved: a CLIPModel, a CLIPVisionModel, or the tower of IDEFICS, whose names have the
/// prefix <c>model.</c>
/// </summary>
internal static class HuggingFaceClip
{
    /// <summary>Name of a tensor that every such tower has.</summary>
    public const string ClassEmbedding = "vision_model.embeddings.class_embedding";

    public static VisionConfig Translate(string configFile, string preprocessorFile, WeightCollector weights, ImportReport report)
    {
        using var json = ConfigJson.Open(configFile);
        using var preprocessor = File.Exists(preprocessorFile) ? ConfigJson.Open(preprocessorFile) : null;
        var vision = json.RootElement.Member("vision_config") ?? json.RootElement;
        var config = Take(weights, "", vision, "hidden_size", "quick_gelu", heads: 12);
        if (json.RootElement.Member("vision_config") is not null) CheckWhole(json.RootElement, configFile, report);
        CheckTower(vision, configFile, report, "");
        if (preprocessor is not null) CheckPreprocessing(preprocessor.RootElement, preprocessorFile, config.ImageSize, report);
        if (weights.Has("visual_projection.weight") && weights.ShapeOf("visual_projection.weight", 2) is [var pooled, _])
        {
            weights.TakeNorm("ln_post", "vision_model.post_layernorm", config.Width, bias: true);
            // The canonical projection is open_clip's, which is the transpose of a linear layer's weight.
            weights.Put("proj", Rows.Transpose(weights.Find("visual_projection.weight", pooled, config.Width)));
            config = config with { PooledWidth = (int)pooled };
        }

        weights.Ignore(name =>
            !name.StartsWith("vision_model.", StringComparison.Ordinal)
                || name.StartsWith("vision_model.post_layernorm.", StringComparison.Ordinal));
        return config with { Preprocessing = Preprocessing("shortest_side_crop", "drop", preprocessor?.RootElement) };
    }

    /// <summary>Takes the vision tower without the pooled projection.</summary>
    /// <param name="weights">Collects the tensors.</param>
    /// <param name="prefix">Prefix of the tensor names before <c>vision_model.</c></param>
    /// <param name="config">Configuration of the vision tower.</param>
    /// <param name="widthName">Key of the width in the configuration.</param>
    /// <param name="activation">Activation if the configuration names none.</param>
    /// <param name="heads">Number of heads if the configuration names none.</param>
    public static VisionConfig Take(WeightCollector weights, string prefix, JsonElement config, string widthName, string activation,
        int heads)
    {
        var tower = $"{prefix}vision_model";
        var kernel = weights.ShapeOf($"{tower}.embeddings.patch_embedding.weight", 4) ?? [0, 0, 1, 1];
        var width = config.Integer(widthName, (int)kernel[0]); // transformers omits default values from nested configurations.
        var (patch, size) = (config.Integer("patch_size", (int)kernel[2]), config.Integer("image_size", 224));
        var hidden = (int)(weights.ShapeOf($"{tower}.encoder.layers.0.mlp.fc1.weight", 2)?[0] ?? 0);
        var layers = config.Integer("num_hidden_layers", weights.Count($"{tower}.encoder.layers", "layer_norm1.weight"));
        var side = size / patch;
        activation = config.Member("hidden_act")?.GetString() ?? activation;

        weights.Take("class_embedding", $"{tower}.embeddings.class_embedding", width);
        weights.Take("positional_embedding", $"{tower}.embeddings.position_embedding.weight", 1 + (side * side), width);
        weights.Take("conv1.weight", $"{tower}.embeddings.patch_embedding.weight", width, 3, patch, patch);
        weights.TakeNorm("ln_pre", $"{tower}.pre_layrnorm", width, bias: true); // transformers spells the name like this.
        for (var layer = 0; layer < layers; layer++)
        {
            var (to, from) = ($"transformer.resblocks.{layer}", $"{tower}.encoder.layers.{layer}");
            weights.TakeNorm($"{to}.ln_1", $"{from}.layer_norm1", width, bias: true);
            weights.TakeNorm($"{to}.ln_2", $"{from}.layer_norm2", width, bias: true);
            string[] projections = [$"{from}.self_attn.q_proj", $"{from}.self_attn.k_proj", $"{from}.self_attn.v_proj"];
            weights.Put($"{to}.attn.in_proj_weight",
                Rows.Join([.. projections.Select(name => weights.Find($"{name}.weight", width, width))]));
            weights.Put($"{to}.attn.in_proj_bias", Rows.Join([.. projections.Select(name => weights.Find($"{name}.bias", width))]));
            weights.TakeLinear($"{to}.attn.out_proj", $"{from}.self_attn.out_proj", width, width, bias: true);
            weights.TakeLinear($"{to}.mlp.c_fc", $"{from}.mlp.fc1", hidden, width, bias: true);
            weights.TakeLinear($"{to}.mlp.c_proj", $"{from}.mlp.fc2", width, hidden, bias: true);
        }

        weights.Ignore(name => name == $"{tower}.embeddings.position_ids");
        return new VisionConfig
        {
            ImageSize = size,
            PatchSize = patch,
            Width = width,
            Layers = layers,
            Heads = config.Integer("num_attention_heads", heads),
            FeedForwardWidth = hidden,
            PooledWidth = 0,
            Activation = activation,
            LayerNormEpsilon = config.Number("layer_norm_eps", 1e-5),
            Preprocessing = Preprocessing("square", "white", null),
        };
    }

    /// <summary>Checks the keys of the configuration of a vision tower.</summary>
    /// <param name="config">Configuration of the vision tower.</param>
    /// <param name="file">Name of the file, for messages.</param>
    /// <param name="report">Takes faults and warnings.</param>
    /// <param name="path">Prefix of key names in messages; empty if the configuration is not nested.</param>
    public static void CheckTower(JsonElement config, string file, ImportReport report, string path) => new ConfigKeys(
        "hidden_size embed_dim image_size patch_size num_hidden_layers num_attention_heads intermediate_size layer_norm_eps projection_dim",
        $"{ConfigKeys.Bookkeeping} attention_dropout dropout initializer_range initializer_factor vision_model_name logit_scale_init_value",
        ("hidden_act", ["gelu", "quick_gelu"]), ("num_channels", ["3"])).Check(config, file, report, path);

    /// <summary>
    /// Checks the keys of a preprocessor_config.json. This build resizes pictures to the tower's size with bicubic interpolation and
    /// normalises them; it supports no other preprocessing.
    /// </summary>
    public static void CheckPreprocessing(JsonElement config, string file, int size, ImportReport report)
    {
        new ConfigKeys(
            "image_mean image_std size crop_size",
            "image_processor_type feature_extractor_type processor_class do_convert_rgb auto_map _valid_processor_keys "
                + "return_tensors data_format input_data_format default_to_square device",
            ("do_resize", ["true"]), ("do_center_crop", ["true"]), ("do_rescale", ["true"]), ("do_normalize", ["true"]),
            ("do_pad", ["false"]), ("resample", ["3"]), ("image_size", [$"{size}"]), ("image_num_channels", ["3"]),
            ("rescale_factor", [(1 / 255.0).ToString("R", CultureInfo.InvariantCulture)])).Check(config, file, report);
        foreach (var name in new[] { "size", "crop_size" })
        {
            if (config.Member(name) is not { } given) continue;
            var sides = given.ValueKind == JsonValueKind.Object ? given.EnumerateObject().Select(side => side.Value).ToList() : [given];
            if (sides.Any(side => side.ValueKind != JsonValueKind.Number || side.GetDouble() != size))
                report.Faults.Add($"unsupported: {name} is {given}, in {file}; this build computes the vision tower's {size}");
        }
    }

    // OpenAI's publications on Hugging Face give the sizes of the tower twice, and transformers uses the second place. This build reads the
    // first, so the two must agree.
    private static void CheckWhole(JsonElement config, string file, ImportReport report)
    {
        new ConfigKeys("vision_config vision_config_dict projection_dim",
            $"{ConfigKeys.Bookkeeping} text_config text_config_dict logit_scale_init_value initializer_factor").Check(config, file, report);
        foreach (var member in config.Member("vision_config_dict") is { ValueKind: JsonValueKind.Object } second
            ? second.EnumerateObject().ToList() : [])
        {
            if (config.GetProperty("vision_config").Member(member.Name) is not { } first || !JsonElement.DeepEquals(first, member.Value))
                report.Faults.Add($"unsupported: vision_config_dict.{member.Name} is {member.Value}, in {file}, and vision_config has "
                    + "another value or none; this build reads vision_config");
        }
    }

    /// <summary>Returns the preprocessing. A mean or standard deviation that is missing or null in the configuration is CLIP's.</summary>
    public static PreprocessingConfig Preprocessing(string resize, string alpha, JsonElement? processor)
    {
        float[] Numbers(string name, float[] otherwise) =>
            processor?.Member(name) is { ValueKind: JsonValueKind.Array } values
                ? [.. values.EnumerateArray().Select(value => value.GetSingle())] : otherwise;
        return new PreprocessingConfig { Resize = resize, Alpha = alpha, Mean = Numbers("image_mean", VisionTranslation.ClipMean),
            Std = Numbers("image_std", VisionTranslation.ClipStd) };
    }
}
