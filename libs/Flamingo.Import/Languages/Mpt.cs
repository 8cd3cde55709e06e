using System.Text.Json;
using Flamingo.Checkpoints;
using Flamingo.Import.Sources;

namespace Flamingo.Import.Languages;

/// <summary>MPT-1B (model_type mosaic_gpt) and MPT-7B (mpt).</summary>
internal sealed class Mpt : ILanguageFamily
{
    // canonical name ← name in mosaic_gpt, name in mpt
    private static readonly (string Canonical, string MosaicGpt, string Mpt)[] LayerNames =
    [
        ("attention_norm", "ln_1", "norm_1"), ("attention.query_key_value", "attn.Wqkv", "attn.Wqkv"), ("attention.output", "attn.out_proj", "attn.out_proj"),
        ("feed_forward_norm", "ln_2", "norm_2"), ("feed_forward.up", "mlp.mlp_up", "ffn.up_proj"), ("feed_forward.down", "mlp.mlp_down", "ffn.down_proj"),
    ];

    private readonly JsonElement _config;
    private readonly bool _mosaic;

    public Mpt(JsonElement config, string file)
    {
        (_config, _mosaic) = (config, config.GetProperty("model_type").GetString() == "mosaic_gpt");
        if (_mosaic && !config.Flag("alibi", false)) throw new CheckpointException($"{file}: alibi is false; MPT without ALiBi is not supported.");
    }

    public int Width => _config.GetProperty("d_model").GetInt32();

    public int LayerCount => _config.Count("n_layers");

    public string Layers => "transformer.blocks";

    public string Embedding => "transformer.wte.weight";

    public string? Head => null; // tied; an lm_head may stand in the files all the same

    public LanguageConfig Take(WeightCollector weights, int vocabulary, CrossAttentionConfig crossAttention)
    {
        var queryKeyNorm = _mosaic && _config.Flag("attn_qk_ln", false);
        var hidden = weights.ShapeOf($"{Layers}.0.{(_mosaic ? "mlp.mlp_up" : "ffn.up_proj")}.weight", 2)?[0] ?? 0;
        for (var layer = 0; layer < LayerCount; layer++)
        {
            foreach (var (canonical, mosaicName, mptName) in LayerNames)
            {
                var (to, from) = ($"layers.{layer}.{canonical}", $"{Layers}.{layer}.{(_mosaic ? mosaicName : mptName)}");
                if (canonical.EndsWith("norm", StringComparison.Ordinal)) weights.TakeNorm(to, from, Width);
                else weights.TakeLinear(to, from, canonical switch { "attention.query_key_value" => 3 * Width, "feed_forward.up" => hidden, _ => Width }, canonical == "feed_forward.down" ? hidden : Width);
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
            AlibiMaxBias = _config.Number("alibi_bias_max", 8),
            FeedForward = "gelu",
            QueryKeyNorm = queryKeyNorm ? "full_width" : "none",
            TiedEmbeddings = true,
            CrossAttention = crossAttention,
        };
    }
}
