using System.Text.Json;
using Flamingo.Checkpoints;
using Flamingo.Import.Sources;

namespace Flamingo.Import.Languages;

/// <summary>Translates MPT-1B (model_type mosaic_gpt) and MPT-7B (model_type mpt).</summary>
internal sealed class Mpt : ILanguageFamily
{
    // Each entry holds the canonical name, the name in mosaic_gpt and the name in mpt.
    private static readonly (string Canonical, string MosaicGpt, string Mpt)[] LayerNames =
    [
        ("attention_norm", "ln_1", "norm_1"),
        ("attention.query_key_value", "attn.Wqkv", "attn.Wqkv"),
        ("attention.output", "attn.out_proj", "attn.out_proj"),
        ("feed_forward_norm", "ln_2", "norm_2"),
        ("feed_forward.up", "mlp.mlp_up", "ffn.up_proj"),
        ("feed_forward.down", "mlp.mlp_down", "ffn.down_proj"),
    ];

    // Settings of attention with the values that this build computes. mosaic_gpt has these keys at the top of config.json, some of them
    // with the prefix "attn_"; mpt has them in attn_config.
    private static readonly (string Key, string[] Values)[] AttentionKeys =
    [
        ("alibi", ["true"]), ("attn_type", ["multihead_attention"]), ("clip_qkv", []), ("attn_clip_qkv", []), ("softmax_scale", []),
        ("prefix_lm", ["false"]), ("qk_gn", ["false"]), ("fused_qkv", ["true"]),
        ("attn_uses_sequence_id", ["false"]), ("rope", ["false"]), ("sliding_window_size", ["-1"]), ("attn_logit_softcapping", []),
        ("reuse_kv_layer_idx", []),
    ];

    private static readonly ConfigKeys FeedForwardKeys = new(
        "ffn_hidden_size", "fc_type", ("ffn_type", ["mptmlp"]), ("ffn_act_fn", []));

    private readonly JsonElement _config;
    private readonly bool _mosaic;

    public Mpt(JsonElement config) => (_config, _mosaic) = (config, config.GetProperty("model_type").GetString() == "mosaic_gpt");

    private JsonElement Attention => _config.Member("attn_config") ?? default;

    public void CheckKeys(string file, ImportReport report)
    {
        // Biases, the width of the feed-forward and learned positions are recognised from the weights.
        const string FromWeights = "no_bias expansion_ratio mlp_ratio learned_pos_emb vocab_size";
        const string Harmless =
            "attn_impl attn_pdrop emb_pdrop resid_pdrop rope_theta rope_impl rope_dail_config rope_hf_config fc_type embedding_fraction "
                + "init_config init_device init_std init_gain init_div_is_residual init_nonlinearity "
            + "param_init_fn fan_mode emb_init_std emb_init_uniform_lim initializer_range low_precision_layernorm tokenizer_name "
                + "use_pad_tok_in_ffn verbose";
        var heads = _config.GetProperty("n_heads").GetRawText();
        var keys = new ConfigKeys(
            $"d_model n_layers n_heads max_seq_len layer_norm_epsilon attn_qk_ln qk_ln alibi_bias_max attn_config ffn_config {FromWeights}",
            $"{ConfigKeys.Bookkeeping} {Harmless}",
            [.. AttentionKeys, ("kv_n_heads", [heads]), ("logit_scale", []), ("final_logit_softcapping", []),
                ("norm_type", ["layernorm", "low_precision_layernorm"]), ("tie_word_embeddings", ["true"]), ("block_overrides", [])]);
        keys.Check(_config, file, report);
        if (_config.Member("attn_config") is { } attention) keys.Check(attention, file, report, "attn_config.");
        if (_config.Member("ffn_config") is { } feedForward) FeedForwardKeys.Check(feedForward, file, report, "ffn_config.");
        if (_mosaic && _config.Member("alibi") is null) report.Faults.Add(
            $"unsupported: alibi is absent, in {file}, which is false for mosaic_gpt; this build computes true");
    }

    public int Width => _config.GetProperty("d_model").GetInt32();

    public int LayerCount => _config.Count("n_layers");

    public string Layers => "transformer.blocks";

    public string Embedding => "transformer.wte.weight";

    public string? Head => null; // MPT ties its embeddings; some publications hold an lm_head nevertheless.

    public LanguageConfig Take(WeightCollector weights, int vocabulary, CrossAttentionConfig crossAttention)
    {
        var queryKeyNorm = _mosaic ? _config.Flag("attn_qk_ln", false) : Attention.Flag("qk_ln", _config.Flag("qk_ln", false));
        var hidden = weights.ShapeOf($"{Layers}.0.{(_mosaic ? "mlp.mlp_up" : "ffn.up_proj")}.weight", 2)?[0] ?? 0;
        for (var layer = 0; layer < LayerCount; layer++)
        {
            foreach (var (canonical, mosaicName, mptName) in LayerNames)
            {
                var (to, from) = ($"layers.{layer}.{canonical}", $"{Layers}.{layer}.{(_mosaic ? mosaicName : mptName)}");
                if (canonical.EndsWith("norm", StringComparison.Ordinal)) weights.TakeNorm(to, from, Width);
                else
                {
                    var outputs = canonical switch { "attention.query_key_value" => 3 * Width, "feed_forward.up" => hidden, _ => Width };
                    weights.TakeLinear(to, from, outputs, canonical == "feed_forward.down" ? hidden : Width);
                }
            }

            if (!queryKeyNorm) continue;
            weights.TakeNorm($"layers.{layer}.attention.query_norm", $"{Layers}.{layer}.attn.q_ln", Width);
            weights.TakeNorm($"layers.{layer}.attention.key_norm", $"{Layers}.{layer}.attn.k_ln", Width);
        }

        weights.TakeNorm("final_norm", _mosaic ? "transformer.ln_f" : "transformer.norm_f", Width);
        return new LanguageConfig
        {
            VocabularySize = vocabulary,
            Width = Width,
            Layers = LayerCount,
            Heads = _config.GetProperty("n_heads").GetInt32(),
            FeedForwardWidth = (int)hidden,
            ContextLength = _config.GetProperty("max_seq_len").GetInt32(),
            Norm = "layer_norm",
            NormEpsilon = _mosaic ? 1e-5 : _config.Number("layer_norm_epsilon", 1e-5),
            Positions = "alibi",
            AlibiMaxBias = Attention.Number("alibi_bias_max", _config.Number("alibi_bias_max", 8)),
            FeedForward = "gelu",
            QueryKeyNorm = queryKeyNorm ? "full_width" : "none",
            TiedEmbeddings = true,
            CrossAttention = crossAttention,
        };
    }
}
