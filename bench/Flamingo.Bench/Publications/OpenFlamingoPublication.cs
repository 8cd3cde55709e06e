using System.Text.Json;
using Flamingo.Bench.Synthesis;
using Flamingo.Checkpoints;
using Flamingo.Import;

namespace Flamingo.Bench.Publications;

/// <summary>
/// The published files of OpenFlamingo: a CLIP of open_clip (f32, including its text tower), a language model from Hugging Face in its
/// publisher's dtype and files, and checkpoint.pt (f32).
/// Names, dtypes, files and sizes are those of openflamingo/OpenFlamingo-*, anas-awadalla/mpt-* and
/// togethercomputer/RedPajama-INCITE-Base-3B-v1 on Hugging Face.
/// </summary>
internal static class OpenFlamingoPublication
{
    private const int AddedTokens = 2; // rows that training appended to the language model's vocabulary

    public static Publication Of(Geometry geometry, string tokenizer)
    {
        var language = geometry.Language;
        var every = language.Layers / language.CrossAttention.Layers.Count;
        var isGptNeoX = language.Positions == "rotary";
        var (list, dtype, names, config) = isGptNeoX ? GptNeoX(language) : Mpt(language, isMosaic: language.QueryKeyNorm == "full_width");
        var published = new PublishedNames(names.Concat(Gated(list)).ToDictionary(), language.CrossAttention.Layers);
        var tensors = SyntheticTensor.Language(language, geometry.Biases)
            .ToLookup(tensor => tensor.Name.Contains(".gated_cross_attention.", StringComparison.Ordinal));
        var own = tensors[false].SelectMany(published.Of).ToList();
        bool IsVocabulary(SyntheticTensor tensor) => tensor.Shape[0] == language.VocabularySize;
        IEnumerable<PublishedTensor> masks =
            isGptNeoX ? Enumerable.Range(0, language.Layers)
                .Select(layer =>
                    new PublishedTensor(new($"{list}.{layer}.attention.bias", Filling.One, 1, 1, language.ContextLength,
                        language.ContextLength), "BOOL")) : [];

        List<PublishedTensor> checkpoint =
        [
            .. SyntheticTensor.Resampler(geometry.Resampler).Select(tensor => F32(tensor with { Name = $"perceiver.{tensor.Name}" })),
            .. own.Where(IsVocabulary).Concat(tensors[true].SelectMany(published.Of))
                .Select(tensor => F32(tensor with { Name = $"lang_encoder.{tensor.Name}" })),
            .. masks.Select(mask => mask with { Tensor = mask.Tensor with { Name = $"lang_encoder.{mask.Tensor.Name}" } }),
        ];
        return new Publication(
            [
                new("vision/open_clip_pytorch_model.bin", MaySplit: false, [.. Clip(geometry.Vision).Select(F32)]),
                new("language/pytorch_model.bin", MaySplit: true,
                    [.. own.Select(tensor =>
                        new PublishedTensor(IsVocabulary(tensor)
                            ? tensor with { Shape = [tensor.Shape[0] - AddedTokens, .. tensor.Shape.Skip(1)] } : tensor,
                            dtype)), .. masks]),
                new("checkpoint.pt", MaySplit: false, checkpoint),
            ],
            new Dictionary<string, string> { ["vision/open_clip_config.json"] = ClipConfig(geometry.Vision),
                ["language/config.json"] = config, ["language/tokenizer.json"] = tokenizer },
            (folder, output, progress, cancellation) => OpenFlamingoImport.Run(
                new OpenFlamingoSource(Path.Combine(folder, "vision"), Path.Combine(folder, "language"),
                    Path.Combine(folder, "checkpoint.pt"), every) { Dtype = "BF16" }, output, progress, cancellation));
    }

    private static PublishedTensor F32(SyntheticTensor tensor) => new(tensor, "F32");

    private static (string List, string Dtype, Dictionary<string, string[]> Names,
        string Config) Mpt(LanguageConfig language, bool isMosaic)
    {
        const string List = "transformer.blocks";
        var names = new Dictionary<string, string[]>
        {
            ["token_embedding"] = ["transformer.wte"],
            ["final_norm"] = [isMosaic ? "transformer.ln_f" : "transformer.norm_f"],
            ["attention_norm"] = [$"{List}.{{0}}.{(isMosaic ? "ln_1" : "norm_1")}"],
            ["attention.query_key_value"] = [$"{List}.{{0}}.attn.Wqkv"],
            ["attention.query_norm"] = [$"{List}.{{0}}.attn.q_ln"],
            ["attention.key_norm"] = [$"{List}.{{0}}.attn.k_ln"],
            ["attention.output"] = [$"{List}.{{0}}.attn.out_proj"],
            ["feed_forward_norm"] = [$"{List}.{{0}}.{(isMosaic ? "ln_2" : "norm_2")}"],
            ["feed_forward.up"] = [$"{List}.{{0}}.{(isMosaic ? "mlp.mlp_up" : "ffn.up_proj")}"],
            ["feed_forward.down"] = [$"{List}.{{0}}.{(isMosaic ? "mlp.mlp_down" : "ffn.down_proj")}"],
        };
        var config = JsonSerializer.Serialize(new
        {
            model_type = isMosaic ? "mosaic_gpt" : "mpt", alibi = true, alibi_bias_max = 8, attn_qk_ln = isMosaic, d_model = language.Width,
            n_heads = language.Heads, n_layers = language.Layers,
            max_seq_len = language.ContextLength, no_bias = true, vocab_size = language.VocabularySize - AddedTokens,
        });
        return (List, isMosaic ? "F32" : "BF16", names, config);
    }

    private static (string List, string Dtype, Dictionary<string, string[]> Names, string Config) GptNeoX(LanguageConfig language)
    {
        const string List = "gpt_neox.layers";
        var names = new Dictionary<string, string[]>
        {
            ["token_embedding"] = ["gpt_neox.embed_in"],
            ["output"] = ["embed_out"],
            ["final_norm"] = ["gpt_neox.final_layer_norm"],
            ["attention_norm"] = [$"{List}.{{0}}.input_layernorm"],
            ["attention.query_key_value"] = [$"{List}.{{0}}.attention.query_key_value"],
            ["attention.output"] = [$"{List}.{{0}}.attention.dense"],
            ["feed_forward_norm"] = [$"{List}.{{0}}.post_attention_layernorm"],
            ["feed_forward.up"] = [$"{List}.{{0}}.mlp.dense_h_to_4h"],
            ["feed_forward.down"] = [$"{List}.{{0}}.mlp.dense_4h_to_h"],
        };
        var config = JsonSerializer.Serialize(new
        {
            model_type = "gpt_neox", hidden_act = "gelu", hidden_size = language.Width, intermediate_size = language.FeedForwardWidth,
            num_attention_heads = language.Heads, num_hidden_layers = language.Layers,
            max_position_embeddings = language.ContextLength, layer_norm_eps = language.NormEpsilon, rotary_pct = 1.0,
            rotary_emb_base = 10000, use_parallel_residual = false, tie_word_embeddings = false,
            vocab_size = language.VocabularySize - AddedTokens,
        });
        return (List, "F16", names, config);
    }

    private static Dictionary<string, string[]> Gated(string list) => new()
    {
        ["gated_cross_attention.attention_norm"] = [$"{list}.{{0}}.gated_cross_attn_layer.attn.norm"],
        ["gated_cross_attention.attention.query"] = [$"{list}.{{0}}.gated_cross_attn_layer.attn.to_q"],
        ["gated_cross_attention.attention.key_value"] = [$"{list}.{{0}}.gated_cross_attn_layer.attn.to_kv"],
        ["gated_cross_attention.attention.output"] = [$"{list}.{{0}}.gated_cross_attn_layer.attn.to_out"],
        ["gated_cross_attention.attention_gate"] = [$"{list}.{{0}}.gated_cross_attn_layer.attn_gate"],
        ["gated_cross_attention.feed_forward_norm"] = [$"{list}.{{0}}.gated_cross_attn_layer.ff.0"],
        ["gated_cross_attention.feed_forward.up"] = [$"{list}.{{0}}.gated_cross_attn_layer.ff.1"],
        ["gated_cross_attention.feed_forward.down"] = [$"{list}.{{0}}.gated_cross_attn_layer.ff.3"],
        ["gated_cross_attention.feed_forward_gate"] = [$"{list}.{{0}}.gated_cross_attn_layer.ff_gate"],
    };

    // The text tower, which an import ignores, is that of ViT-L/14: 12 layers with the width of the pooled embedding.
    private static IEnumerable<SyntheticTensor> Clip(VisionConfig vision)
    {
        var text = vision with { Width = vision.PooledWidth, Layers = 12, FeedForwardWidth = 4 * vision.PooledWidth };
        return
        [
            .. SyntheticTensor.Vision(vision).Select(tensor => tensor with { Name = $"visual.{tensor.Name}" }),
            new("token_embedding.weight", Filling.Random, 49408, text.Width), new("positional_embedding", Filling.Random, 77, text.Width),
            new("text_projection", Filling.Random, text.Width, text.Width), new("logit_scale", Filling.One, 1),
            .. SyntheticTensor.Vision(text).Where(tensor => tensor.Name.StartsWith("transformer.", StringComparison.Ordinal)),
        ];
    }

    private static string ClipConfig(VisionConfig vision) => JsonSerializer.Serialize(new
    {
        model_cfg = new { embed_dim = vision.PooledWidth, quick_gelu = true,
            vision_cfg = new { image_size = vision.ImageSize, layers = vision.Layers, width = vision.Width,
                head_width = vision.Width / vision.Heads, patch_size = vision.PatchSize } },
        preprocess_cfg = new { mean = vision.Preprocessing.Mean, std = vision.Preprocessing.Std },
    });
}
