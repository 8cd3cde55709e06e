using System.Text.Json;
using Flamingo.Checkpoints;
using Flamingo.Import.Sources;

namespace Flamingo.Import.Languages;

/// <summary>Translates LLaMA, and the language model of IDEFICS, which has the same weights under the same names.</summary>
internal sealed class Llama : ILanguageFamily
{
    private readonly JsonElement _config;

    public Llama(JsonElement config) => _config = config;

    public void CheckKeys(string file, ImportReport report)
    {
        var keys = new ConfigKeys(
            "hidden_size num_hidden_layers num_attention_heads num_key_value_heads intermediate_size attention_bias mlp_bias "
                + $"max_position_embeddings max_sequence_length rms_norm_eps tie_word_embeddings vocab_size {RotaryPositions.Keys}",
            // pretraining_tp splits matrix products into parts whose sum is the same product.
            $"{ConfigKeys.Bookkeeping} attention_dropout initializer_range pretraining_tp",
            ("hidden_act", ["silu"]), ("head_dim", [$"{Width / Heads}"]));
        keys.Check(_config, file, report);
        RotaryPositions.Check(_config, file, report, ("rope_theta", "rope_theta"));
        if (RotaryPositions.Fraction(_config, 1) is var fraction and not 1) report.Faults.Add(
            $"unsupported: partial_rotary_factor is {fraction}, in {file}; this build computes 1 for llama");
    }

    public int Width => _config.GetProperty("hidden_size").GetInt32();

    public int Heads => _config.Count("num_attention_heads");

    public int LayerCount => _config.Count("num_hidden_layers");

    public string Layers => "model.layers";

    public string Embedding => "model.embed_tokens.weight";

    public string? Head => _config.Flag("tie_word_embeddings", false) ? null : "lm_head.weight";

    public double Epsilon => _config.Number("rms_norm_eps", 1e-6);

    public LanguageConfig Take(WeightCollector weights, int vocabulary, CrossAttentionConfig crossAttention)
    {
        var (shared, hidden) = (_config.Integer("num_key_value_heads", Heads), _config.GetProperty("intermediate_size").GetInt32());
        var keyWidth = shared * (Width / Heads);
        for (var layer = 0; layer < LayerCount; layer++)
        {
            var (to, from) = ($"layers.{layer}", $"{Layers}.{layer}");
            weights.TakeNorm($"{to}.attention_norm", $"{from}.input_layernorm", Width, bias: false);
            weights.TakeJoined($"{to}.attention.query_key_value",
                [$"{from}.self_attn.q_proj", $"{from}.self_attn.k_proj", $"{from}.self_attn.v_proj"], [Width, keyWidth, keyWidth], Width);
            weights.TakeLinear($"{to}.attention.output", $"{from}.self_attn.o_proj", Width, Width);
            weights.TakeNorm($"{to}.feed_forward_norm", $"{from}.post_attention_layernorm", Width, bias: false);
            TakeSwiGlu(weights, $"{to}.feed_forward", $"{from}.mlp", Width, hidden);
        }

        weights.TakeNorm("final_norm", "model.norm", Width, bias: false);
        return new LanguageConfig
        {
            VocabularySize = vocabulary,
            Width = Width,
            Layers = LayerCount,
            Heads = Heads,
            KeyValueHeads = shared == Heads ? null : shared,
            FeedForwardWidth = hidden,
            // Early conversions to Hugging Face's format call the context length max_sequence_length.
            ContextLength = _config.Integer("max_position_embeddings", _config.Integer("max_sequence_length", 2048)),
            Norm = "rms_norm",
            NormEpsilon = Epsilon,
            Positions = "rotary",
            RotaryBase = RotaryPositions.Base(_config),
            FeedForward = "swiglu",
            TiedEmbeddings = Head is null,
            CrossAttention = crossAttention,
        };
    }

    public static void TakeSwiGlu(WeightCollector weights, string canonical, string name, int width, int hidden)
    {
        weights.TakeLinear($"{canonical}.gate", $"{name}.gate_proj", hidden, width);
        weights.TakeLinear($"{canonical}.up", $"{name}.up_proj", hidden, width);
        weights.TakeLinear($"{canonical}.down", $"{name}.down_proj", width, hidden);
    }
}
