using System.Text.Json;
using Flamingo.Checkpoints;
using Flamingo.Import.Languages;
using Flamingo.Import.Sources;
using Flamingo.Import.Vision;

namespace Flamingo.Import.Idefics;

/// <summary>Translates the parts of IDEFICS that neither CLIP nor LLaMA has: resampler, decoupled embeddings and gated blocks.</summary>
internal static class IdeficsTranslation
{
    private const double LayerNormEpsilon = 1e-5; // This is torch's default: IDEFICS configures no epsilon for its resampler.

    /// <summary>
    /// Checks the keys of config.json. LLaMA's rotary positions and its number of key-value heads are fixed in IDEFICS, so only one
    /// value of each is accepted.
    /// </summary>
    public static void CheckKeys(JsonElement config, string file, Llama llama, ImportReport report)
    {
        var keys = new ConfigKeys(
            "hidden_size num_hidden_layers num_attention_heads intermediate_size max_position_embeddings max_sequence_length "
                + "rms_norm_eps tie_word_embeddings vocab_size additional_vocab_size "
            + "cross_layer_interval qk_layer_norms use_resampler perceiver_config vision_config",
            $"{ConfigKeys.Bookkeeping} alpha_initializer alphas_initializer_range dropout initializer_range freeze_lm_head "
                + "freeze_text_layers freeze_text_module_exceptions freeze_vision_layers freeze_vision_module_exceptions "
                + "word_embed_proj_dim",
            ("hidden_act", ["silu"]), ("cross_layer_activation_function", ["swiglu"]), ("alpha_type", ["float", "vector"]),
            ("rope_theta", ["10000"]), ("rope_scaling", []), ("rope_parameters", []), ("partial_rotary_factor", ["1"]),
            ("num_key_value_heads", [$"{llama.Heads}"]), ("head_dim", [$"{llama.Width / llama.Heads}"]), ("attention_bias", ["false"]),
            ("mlp_bias", ["false"]));
        keys.Check(config, file, report);
        HuggingFaceClip.CheckTower(config.GetProperty("vision_config"), file, report, "vision_config.");
        if (config.Member("perceiver_config") is not { } perceiver) return;
        // use_resampler is harmless here: transformers reads the key of that name at the top of config.json.
        new ConfigKeys("resampler_n_heads resampler_head_dim resampler_depth resampler_n_latents qk_layer_norms_perceiver",
            $"{ConfigKeys.Bookkeeping} use_resampler").Check(perceiver, file, report, "perceiver_config.");
    }

    /// <summary>
    /// Takes the perceiver resampler. If the checkpoint has none, the returned configuration makes features pass unchanged.
    /// </summary>
    public static ResamplerConfig TakeResampler(WeightCollector weights, JsonElement config, VisionConfig vision)
    {
        var width = vision.Width;
        var side = vision.ImageSize / vision.PatchSize;
        if (!config.Flag("use_resampler", false)) return ResamplerConfig.PassingOn(width, latents: (side * side) + 1);

        var perceiver = config.Member("perceiver_config") ?? default;
        var (heads, head, layers) = (perceiver.Integer("resampler_n_heads", 16), perceiver.Integer("resampler_head_dim", 96),
            perceiver.Integer("resampler_depth", 6));
        var (latents, normed) = (perceiver.Integer("resampler_n_latents", 64), perceiver.Flag("qk_layer_norms_perceiver", false));
        var (inner, hidden) = (heads * head, weights.ShapeOf("model.perceiver_resampler.blocks.0.1.fc.weight", 2)?[0] ?? 0);
        weights.Take("latents", "model.perceiver_resampler.latents", latents, width);
        for (var layer = 0; layer < layers; layer++)
        {
            var (attention, feedForward, from) = ($"layers.{layer}.0", $"layers.{layer}.1", $"model.perceiver_resampler.blocks.{layer}");
            weights.TakeNorm($"{attention}.norm_media", $"{from}.0.context_layer_norm", width, bias: true);
            weights.TakeNorm($"{attention}.norm_latents", $"{from}.0.latents_layer_norm", width, bias: true);
            weights.TakeLinear($"{attention}.to_q", $"{from}.0.q_proj", inner, width, bias: false);
            weights.Put($"{attention}.to_kv.weight",
                Rows.Join(weights.Find($"{from}.0.k_proj.weight", inner, width), weights.Find($"{from}.0.v_proj.weight", inner, width)));
            weights.TakeLinear($"{attention}.to_out", $"{from}.0.output_proj", width, inner, bias: false);
            if (normed)
            {
                weights.TakeNorm($"{attention}.norm_q", $"{from}.0.q_layer_norm", head, bias: true);
                weights.TakeNorm($"{attention}.norm_k", $"{from}.0.k_layer_norm", head, bias: true);
            }

            weights.TakeNorm($"{feedForward}.0", $"{from}.1.ln", width, bias: true);
            weights.TakeLinear($"{feedForward}.1", $"{from}.1.fc", hidden, width, bias: false);
            weights.TakeLinear($"{feedForward}.3", $"{from}.1.c_proj", width, hidden, bias: false);
        }

        weights.TakeNorm("norm", "model.perceiver_resampler.layer_norm", width, bias: true);
        return new ResamplerConfig
        {
            Width = width, Layers = layers, Latents = latents, Heads = heads, HeadWidth = head, FeedForwardWidth = (int)hidden,
            Activation = "relu", LayerNormEpsilon = LayerNormEpsilon, QueryKeyNorm = normed ? "per_head" : "none",
        };
    }

    /// <summary>
    /// Joins the rows of the decoupled embeddings: a published embedding or output projection is a frozen tensor for the original
    /// vocabulary and a trained tensor for the additional vocabulary.
    /// </summary>
    public static void TakeEmbeddings(WeightCollector weights, Llama llama, JsonElement config)
    {
        var (vocabulary, additional) = (config.GetProperty("vocab_size").GetInt32(), config.Integer("additional_vocab_size", 0));
        Take("token_embedding.weight", llama.Embedding, "model.embed_tokens.additional_embedding.weight");
        if (llama.Head is { } head) Take("output.weight", head, "lm_head.additional_fc.weight");
        else weights.Ignore(name => name is "lm_head.weight" or "lm_head.additional_fc.weight");

        void Take(string canonical, string frozen, string trained) => weights.Put(canonical, additional == 0
            ? weights.Find(frozen, vocabulary, llama.Width)
            : Rows.Join(weights.Find(frozen, vocabulary, llama.Width), weights.Find(trained, additional, llama.Width)));
    }

    /// <summary>Takes the gated blocks. Block j is computed before decoder layer j × interval.</summary>
    public static CrossAttentionConfig TakeGated(WeightCollector weights, JsonElement config, Llama llama, int latentWidth)
    {
        var (width, hidden, interval) =
            (llama.Width, config.GetProperty("intermediate_size").GetInt32(), config.Integer("cross_layer_interval", 1));
        var layers = Enumerable.Range(0, llama.LayerCount).Where(layer => layer % interval == 0).ToArray();
        var (normed, vector, head) = (config.Flag("qk_layer_norms", false), config.Member("alpha_type")?.GetString() == "vector",
            width / llama.Heads);
        foreach (var (block, layer) in layers.Index())
        {
            var (to, from) = ($"layers.{layer}.gated_cross_attention", $"model.gated_cross_attn_layers.{block}");
            weights.TakeNorm($"{to}.attention_norm", $"{from}.input_layernorm", width, bias: false);
            weights.TakeLinear($"{to}.attention.query", $"{from}.cross_attn.q_proj", width, width, bias: false);
            weights.Put($"{to}.attention.key_value.weight",
                Rows.Join(weights.Find($"{from}.cross_attn.k_proj.weight", width, latentWidth),
                    weights.Find($"{from}.cross_attn.v_proj.weight", width, latentWidth)));
            weights.TakeLinear($"{to}.attention.output", $"{from}.cross_attn.o_proj", width, width, bias: false);
            if (normed)
            {
                weights.TakeNorm($"{to}.attention.query_norm", $"{from}.cross_attn.q_layer_norm", head, bias: false);
                weights.TakeNorm($"{to}.attention.key_norm", $"{from}.cross_attn.k_layer_norm", head, bias: false);
            }

            weights.TakeNorm($"{to}.feed_forward_norm", $"{from}.post_attention_layernorm", width, bias: false);
            Llama.TakeSwiGlu(weights, $"{to}.feed_forward", $"{from}.mlp", width, hidden);
            TakeGate($"{to}.attention_gate", $"{from}.alpha_cross_attn");
            TakeGate($"{to}.feed_forward_gate", $"{from}.alpha_dense");
        }

        return new CrossAttentionConfig
        {
            Layers = layers, Heads = llama.Heads, HeadWidth = head, LatentWidth = latentWidth, FeedForwardWidth = hidden,
            Norm = "rms_norm", LayerNormEpsilon = llama.Epsilon, QueryKeyNorm = normed ? "per_head" : "none", FeedForward = "swiglu",
            VectorGates = vector,
        };

        void TakeGate(string canonical, string name)
        {
            var gate = vector ? weights.Find(name, 1, 1, width) : weights.Find(name, 1);
            weights.Put(canonical, gate is null ? null : gate with { Shape = [vector ? width : 1] });
        }
    }
}
