using System.Text.Json;
using Flamingo.Checkpoints;
using Flamingo.Import.Sources;

namespace Flamingo.Import.Languages;

/// <summary>
/// Translates GPT-NeoX language models: RedPajama-INCITE (sequential residual) and Pythia (parallel residual, rotary positions over a
/// part of each head).
/// </summary>
internal sealed class GptNeoX : ILanguageFamily
{
    private static readonly ConfigKeys Keys = new(
        "hidden_size num_hidden_layers num_attention_heads intermediate_size attention_bias max_position_embeddings layer_norm_eps "
            + $"rotary_pct rotary_emb_base use_parallel_residual tie_word_embeddings vocab_size {RotaryPositions.Keys}",
        $"{ConfigKeys.Bookkeeping} attention_dropout hidden_dropout classifier_dropout initializer_range attention_probs_dropout_prob "
            + "hidden_dropout_prob",
        ("hidden_act", ["gelu"]));

    private readonly JsonElement _config;

    public GptNeoX(JsonElement config) => _config = config;

    public void CheckKeys(string file, ImportReport report)
    {
        Keys.Check(_config, file, report);
        RotaryPositions.Check(_config, file, report, ("rotary_emb_base", "rope_theta"), ("rotary_pct", "partial_rotary_factor"));
    }

    public int Width => _config.GetProperty("hidden_size").GetInt32();

    public int LayerCount => _config.Count("num_hidden_layers");

    public string Layers => "gpt_neox.layers";

    public string Embedding => "gpt_neox.embed_in.weight";

    public string? Head => _config.Flag("tie_word_embeddings", false) ? null : "embed_out.weight";

    public LanguageConfig Take(WeightCollector weights, int vocabulary, CrossAttentionConfig crossAttention)
    {
        var (heads, hidden, bias) = (_config.Count("num_attention_heads"), _config.GetProperty("intermediate_size").GetInt32(),
            _config.Flag("attention_bias", true));
        // A published tensor holds (q, k, v) of the first head, then of the second head, …; a model directory holds all q, then all k,
        // then all v.
        var order = Enumerable.Range(0, 3).SelectMany(part => Enumerable.Range(0, heads).Select(head => (head * 3) + part)).ToArray();
        for (var layer = 0; layer < LayerCount; layer++)
        {
            var (to, from) = ($"layers.{layer}", $"{Layers}.{layer}");
            weights.TakeNorm($"{to}.attention_norm", $"{from}.input_layernorm", Width, bias: true);
            weights.Put($"{to}.attention.query_key_value.weight",
                Rows.Reorder(weights.Find($"{from}.attention.query_key_value.weight", 3 * Width, Width), order));
            if (bias)
                weights.Put($"{to}.attention.query_key_value.bias",
                    Rows.Reorder(weights.Find($"{from}.attention.query_key_value.bias", 3 * Width), order));
            weights.TakeLinear($"{to}.attention.output", $"{from}.attention.dense", Width, Width, bias);
            weights.TakeNorm($"{to}.feed_forward_norm", $"{from}.post_attention_layernorm", Width, bias: true);
            weights.TakeLinear($"{to}.feed_forward.up", $"{from}.mlp.dense_h_to_4h", hidden, Width, bias: true);
            weights.TakeLinear($"{to}.feed_forward.down", $"{from}.mlp.dense_4h_to_h", Width, hidden, bias: true);
        }

        weights.TakeNorm("final_norm", "gpt_neox.final_layer_norm", Width, bias: true);
        return new LanguageConfig
        {
            VocabularySize = vocabulary,
            Width = Width,
            Layers = LayerCount,
            Heads = heads,
            FeedForwardWidth = hidden,
            ContextLength = _config.GetProperty("max_position_embeddings").GetInt32(),
            Norm = "layer_norm",
            NormEpsilon = _config.Number("layer_norm_eps", 1e-5),
            Positions = "rotary",
            RotaryFraction = RotaryPositions.Fraction(_config, 0.25, "rotary_pct"),
            RotaryBase = RotaryPositions.Base(_config, "rotary_emb_base"),
            ParallelResidual = _config.Flag("use_parallel_residual", true),
            FeedForward = "gelu",
            TiedEmbeddings = Head is null,
            CrossAttention = crossAttention,
        };
    }
}
