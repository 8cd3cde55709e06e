using System.Text.Json;
using Flamingo.Checkpoints;
using Flamingo.Import.Sources;

namespace Flamingo.Import.OpenFlamingo;

/// <summary>The MPT families (mosaic_gpt and mpt) with the gated blocks and embeddings of checkpoint.pt.</summary>
internal static class LanguageTranslation
{
    // canonical name ← name in mosaic_gpt, name in mpt
    private static readonly (string Canonical, string MosaicGpt, string Mpt)[] LayerNames =
    [
        ("attention_norm", "ln_1", "norm_1"), ("attention.query_key_value", "attn.Wqkv", "attn.Wqkv"), ("attention.output", "attn.out_proj", "attn.out_proj"),
        ("feed_forward_norm", "ln_2", "norm_2"), ("feed_forward.up", "mlp.mlp_up", "ffn.up_proj"), ("feed_forward.down", "mlp.mlp_down", "ffn.down_proj"),
    ];

    public static (LanguageConfig Config, Dictionary<string, SourceTensor> Tensors) Translate(WeightSource language, string configFile, WeightCollector checkpoint, int every, int latentWidth, List<string> faults)
    {
        using var json = ConfigJson.Open(configFile);
        var root = json.RootElement;
        var type = root.GetProperty("model_type").GetString();
        if (type is not ("mosaic_gpt" or "mpt")) throw new CheckpointException($"{configFile}: model_type '{type}' is not read yet; this build imports mosaic_gpt (MPT-1B) and mpt (MPT-7B).");
        var mosaic = type == "mosaic_gpt";
        var width = root.GetProperty("d_model").GetInt32();
        var layers = root.GetProperty("n_layers").GetInt32();
        var queryKeyNorm = mosaic && Flag("attn_qk_ln");
        if (mosaic && !Flag("alibi")) throw new CheckpointException($"{configFile}: alibi is false; MPT without ALiBi is not supported.");

        var weights = new WeightCollector(language, "the language weights", faults);
        var hidden = weights.ShapeOf(mosaic ? "transformer.blocks.0.mlp.mlp_up.weight" : "transformer.blocks.0.ffn.up_proj.weight", 2)?[0] ?? 0;
        for (var layer = 0; layer < layers; layer++)
        {
            foreach (var (canonical, mosaicName, mptName) in LayerNames)
            {
                var (to, from) = ($"layers.{layer}.{canonical}", $"transformer.blocks.{layer}.{(mosaic ? mosaicName : mptName)}");
                long[] shape = canonical switch
                {
                    "attention.query_key_value" => [3 * width, width],
                    "attention.output" => [width, width],
                    "feed_forward.up" => [hidden, width],
                    "feed_forward.down" => [width, hidden],
                    _ => [width],
                };
                weights.Take($"{to}.weight", $"{from}.weight", shape);
                weights.TakeOptional($"{to}.bias", $"{from}.bias", shape[0]);
            }

            if (!queryKeyNorm) continue;
            foreach (var (canonical, name) in new[] { ("query_norm", "q_ln"), ("key_norm", "k_ln") })
            {
                weights.Take($"layers.{layer}.attention.{canonical}.weight", $"transformer.blocks.{layer}.attn.{name}.weight", width);
                weights.TakeOptional($"layers.{layer}.attention.{canonical}.bias", $"transformer.blocks.{layer}.attn.{name}.bias", width);
            }
        }

        var final = mosaic ? "transformer.ln_f" : "transformer.norm_f";
        weights.Take("final_norm.weight", $"{final}.weight", width);
        weights.TakeOptional("final_norm.bias", $"{final}.bias", width);
        weights.Ignore(name => name is "transformer.wte.weight" or "lm_head.weight"); // tied, and the checkpoint's rows win
        weights.ReportUnused();

        const string Embeddings = "lang_encoder.transformer.wte.weight";
        var vocabulary = checkpoint.ShapeOf(Embeddings, 2)?[0] ?? 0;
        checkpoint.Take("token_embedding.weight", Embeddings, vocabulary, width);
        checkpoint.Ignore(name => name == "lang_encoder.lm_head.weight" || name.EndsWith(".rotary_emb.inv_freq", StringComparison.Ordinal));

        var gated = Enumerable.Range(0, layers).Where(layer => (layer + 1) % every == 0).ToArray();
        var gatedHidden = gated.Length == 0 ? 0 : TakeGated(checkpoint, gated, width, latentWidth);
        return (new LanguageConfig
        {
            VocabularySize = (int)vocabulary,
            Width = width,
            Layers = layers,
            Heads = root.GetProperty("n_heads").GetInt32(),
            FeedForwardWidth = (int)hidden,
            ContextLength = root.GetProperty("max_seq_len").GetInt32(),
            Norm = "layer_norm",
            NormEpsilon = mosaic ? 1e-5 : root.TryGetProperty("layer_norm_epsilon", out var epsilon) ? epsilon.GetDouble() : 1e-5,
            Positions = "alibi",
            AlibiMaxBias = root.TryGetProperty("alibi_bias_max", out var bias) ? bias.GetDouble() : 8,
            FeedForward = "gelu",
            QueryKeyNorm = queryKeyNorm ? "full_width" : "none",
            TiedEmbeddings = true,
            CrossAttention = new CrossAttentionConfig { Layers = gated, Heads = ResamplerTranslation.Heads, HeadWidth = ResamplerTranslation.HeadWidth, LatentWidth = latentWidth, FeedForwardWidth = gatedHidden },
        }, weights.Tensors);

        bool Flag(string name) => root.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.True;
    }

    private static int TakeGated(WeightCollector checkpoint, int[] layers, int width, int latentWidth)
    {
        const int Inner = ResamplerTranslation.Heads * ResamplerTranslation.HeadWidth;
        // OpenFlamingo names the layer list after the language model's own attribute; MPT's is transformer.blocks
        static string Source(int layer) => $"lang_encoder.transformer.blocks.{layer}.gated_cross_attn_layer";
        var hidden = checkpoint.ShapeOf($"{Source(layers[0])}.ff.1.weight", 2)?[0] ?? 0;
        foreach (var layer in layers)
        {
            var (to, from) = ($"layers.{layer}.gated_cross_attention", Source(layer));
            foreach (var part in new[] { "weight", "bias" })
            {
                checkpoint.Take($"{to}.attention_norm.{part}", $"{from}.attn.norm.{part}", width);
                checkpoint.Take($"{to}.feed_forward_norm.{part}", $"{from}.ff.0.{part}", width);
            }

            checkpoint.Take($"{to}.attention.query.weight", $"{from}.attn.to_q.weight", Inner, width);
            checkpoint.Take($"{to}.attention.key_value.weight", $"{from}.attn.to_kv.weight", 2 * Inner, latentWidth);
            checkpoint.Take($"{to}.attention.output.weight", $"{from}.attn.to_out.weight", width, Inner);
            checkpoint.Take($"{to}.attention_gate", $"{from}.attn_gate", 1);
            checkpoint.Take($"{to}.feed_forward.up.weight", $"{from}.ff.1.weight", hidden, width);
            checkpoint.Take($"{to}.feed_forward.down.weight", $"{from}.ff.3.weight", width, hidden);
            checkpoint.Take($"{to}.feed_forward_gate", $"{from}.ff_gate", 1);
        }

        return (int)hidden;
    }
}
