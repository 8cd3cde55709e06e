using System.Text.Json;
using System.Text.Json.Nodes;
using Flamingo.Bench.Synthesis;
using Flamingo.Checkpoints;
using Flamingo.Import;

namespace Flamingo.Bench.Publications;

/// <summary>
/// The files of HuggingFaceM4/idefics-9b (IdeficsForVisionText2Text of transformers): bf16 safetensors with an index, where the rows of
/// added tokens of the embedding and the head are separate tensors.
/// </summary>
internal static class IdeficsPublication
{
    private const int AddedTokens = 2;
    private const string Gated = "model.gated_cross_attn_layers.{1}", Layer = "model.layers.{0}", Tower = "model.vision_model",
        Block = "model.perceiver_resampler.blocks.{0}";

    private static readonly Dictionary<string, string[]> Vision = new()
    {
        ["class_embedding"] = [$"{Tower}.embeddings.class_embedding"],
        ["positional_embedding"] = [$"{Tower}.embeddings.position_embedding.weight"], ["conv1"] = [$"{Tower}.embeddings.patch_embedding"],
        ["ln_pre"] = [$"{Tower}.pre_layrnorm"],
        ["ln_1"] = [$"{Tower}.encoder.layers.{{0}}.layer_norm1"], ["ln_2"] = [$"{Tower}.encoder.layers.{{0}}.layer_norm2"],
        ["attn.in_proj"] = [.. new[] { "q", "k", "v" }.Select(part => $"{Tower}.encoder.layers.{{0}}.self_attn.{part}_proj")],
        ["attn.out_proj"] = [$"{Tower}.encoder.layers.{{0}}.self_attn.out_proj"],
        ["mlp.c_fc"] = [$"{Tower}.encoder.layers.{{0}}.mlp.fc1"], ["mlp.c_proj"] = [$"{Tower}.encoder.layers.{{0}}.mlp.fc2"],
    };

    private static readonly Dictionary<string, string[]> Resampler = new()
    {
        ["latents"] = ["model.perceiver_resampler.latents"], ["norm"] = ["model.perceiver_resampler.layer_norm"],
        ["0.norm_media"] = [$"{Block}.0.context_layer_norm"], ["0.norm_latents"] = [$"{Block}.0.latents_layer_norm"],
        ["0.norm_q"] = [$"{Block}.0.q_layer_norm"], ["0.norm_k"] = [$"{Block}.0.k_layer_norm"],
        ["0.to_q"] = [$"{Block}.0.q_proj"], ["0.to_kv"] = [$"{Block}.0.k_proj", $"{Block}.0.v_proj"],
        ["0.to_out"] = [$"{Block}.0.output_proj"],
        ["1.0"] = [$"{Block}.1.ln"], ["1.1"] = [$"{Block}.1.fc"], ["1.3"] = [$"{Block}.1.c_proj"],
    };

    private static readonly Dictionary<string, string[]> Language = new()
    {
        ["token_embedding"] = ["model.embed_tokens"], ["output"] = ["lm_head"], ["final_norm"] = ["model.norm"],
        ["attention_norm"] = [$"{Layer}.input_layernorm"], ["feed_forward_norm"] = [$"{Layer}.post_attention_layernorm"],
        ["attention.query_key_value"] = [.. new[] { "q", "k", "v" }.Select(part => $"{Layer}.self_attn.{part}_proj")],
        ["attention.output"] = [$"{Layer}.self_attn.o_proj"],
        ["feed_forward.gate"] = [$"{Layer}.mlp.gate_proj"], ["feed_forward.up"] = [$"{Layer}.mlp.up_proj"],
        ["feed_forward.down"] = [$"{Layer}.mlp.down_proj"],
        ["gated_cross_attention.attention_norm"] = [$"{Gated}.input_layernorm"],
        ["gated_cross_attention.feed_forward_norm"] = [$"{Gated}.post_attention_layernorm"],
        ["gated_cross_attention.attention.query"] = [$"{Gated}.cross_attn.q_proj"],
        ["gated_cross_attention.attention.key_value"] = [$"{Gated}.cross_attn.k_proj", $"{Gated}.cross_attn.v_proj"],
        ["gated_cross_attention.attention.output"] = [$"{Gated}.cross_attn.o_proj"],
        ["gated_cross_attention.attention.query_norm"] = [$"{Gated}.cross_attn.q_layer_norm"],
        ["gated_cross_attention.attention.key_norm"] = [$"{Gated}.cross_attn.k_layer_norm"],
        ["gated_cross_attention.feed_forward.gate"] = [$"{Gated}.mlp.gate_proj"],
        ["gated_cross_attention.feed_forward.up"] = [$"{Gated}.mlp.up_proj"],
        ["gated_cross_attention.feed_forward.down"] = [$"{Gated}.mlp.down_proj"],
        ["gated_cross_attention.attention_gate"] = [$"{Gated}.alpha_cross_attn"],
        ["gated_cross_attention.feed_forward_gate"] = [$"{Gated}.alpha_dense"],
    };

    public static Publication Of(Geometry geometry, string tokenizer)
    {
        var (language, layers) = (geometry.Language, geometry.Language.CrossAttention.Layers);
        IEnumerable<SyntheticTensor> Spelled(Dictionary<string, string[]> names,
            IEnumerable<SyntheticTensor> tensors) => tensors.SelectMany(new PublishedNames(names, layers).Of);
        var tensors = Spelled(Vision, SyntheticTensor.Vision(geometry.Vision))
            .Concat(Spelled(Resampler, SyntheticTensor.Resampler(geometry.Resampler)))
            .Concat(Spelled(Language, SyntheticTensor.Language(language, geometry.Biases)).SelectMany(Decoupled));
        return new Publication(
            [new("model.safetensors", MaySplit: true, [.. tensors.Select(tensor => new PublishedTensor(tensor, "BF16"))])],
            new Dictionary<string, string> { ["config.json"] = Config(geometry),
                ["preprocessor_config.json"] = Preprocessor(geometry.Vision), ["tokenizer.json"] = WithTokens(tokenizer) },
            (folder, output, progress, cancellation) =>
                IdeficsImport.Run(new IdeficsSource(folder) { Dtype = "BF16" }, output, progress, cancellation));
    }

    // The rows of added tokens are separate tensors, because only they were trained.
    private static SyntheticTensor[] Decoupled(SyntheticTensor tensor)
    {
        var added = tensor.Name switch { "model.embed_tokens.weight" => "model.embed_tokens.additional_embedding.weight",
            "lm_head.weight" => "lm_head.additional_fc.weight", _ => null };
        return added is null ? [tensor]
            : [tensor with { Shape = [tensor.Shape[0] - AddedTokens, tensor.Shape[1]] },
                tensor with { Name = added, Shape = [AddedTokens, tensor.Shape[1]] }];
    }

    private static string Config(Geometry geometry)
    {
        var (vision, resampler, language) = (geometry.Vision, geometry.Resampler, geometry.Language);
        return JsonSerializer.Serialize(new
        {
            model_type = "idefics", hidden_act = "silu", hidden_size = language.Width, intermediate_size = language.FeedForwardWidth,
            num_attention_heads = language.Heads, num_hidden_layers = language.Layers,
            max_position_embeddings = language.ContextLength, rms_norm_eps = language.NormEpsilon, tie_word_embeddings = false,
            vocab_size = language.VocabularySize - AddedTokens, additional_vocab_size = AddedTokens,
            alpha_type = "float", cross_layer_interval = language.Layers / language.CrossAttention.Layers.Count,
            qk_layer_norms = language.CrossAttention.QueryKeyNorm == "per_head", use_resampler = true,
            perceiver_config = new { resampler_depth = resampler.Layers, resampler_head_dim = resampler.HeadWidth,
                resampler_n_heads = resampler.Heads, resampler_n_latents = resampler.Latents,
                qk_layer_norms_perceiver = resampler.QueryKeyNorm == "per_head" },
            vision_config = new { embed_dim = vision.Width, image_size = vision.ImageSize, patch_size = vision.PatchSize,
                num_hidden_layers = vision.Layers, num_attention_heads = vision.Heads, intermediate_size = vision.FeedForwardWidth,
                hidden_act = vision.Activation },
        });
    }

    private static string Preprocessor(
        VisionConfig vision) =>
            JsonSerializer.Serialize(new { image_num_channels = 3, image_size = vision.ImageSize, image_mean = vision.Preprocessing.Mean,
                image_std = vision.Preprocessing.Std });

    private static string WithTokens(string tokenizer)
    {
        var root = JsonNode.Parse(tokenizer)!;
        var added = root["added_tokens"]!.AsArray();
        var next = added.Select(token => token!["id"]!.GetValue<int>())
            .Concat(root["model"]!["vocab"]!.AsObject().Select(entry => entry.Value!.GetValue<int>())).Max() + 1;
        foreach (var text in new[] { "</s>", "<fake_token_around_image>", "<image>" }.Except(
            added.Select(token => token!["content"]!.GetValue<string>())))
            added.Add(new JsonObject { ["id"] = next++, ["content"] = text, ["single_word"] = false, ["lstrip"] = false, ["rstrip"] = false,
                ["normalized"] = false, ["special"] = true });
        return root.ToJsonString();
    }
}
