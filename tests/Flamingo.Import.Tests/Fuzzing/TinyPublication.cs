using Flamingo.Import.Pickles;
using System.Text.Json;
using Flamingo.Import.Sources;
using Flamingo.Import.Tests.Sources;
using Flamingo.Testing;

namespace Flamingo.Import.Tests.Fuzzing;

/// <summary>Writes an OpenFlamingo publication of width 8 that has every kind of file. Importing it takes milliseconds.</summary>
internal static class TinyPublication
{
    private const int Width = 8, Inner = 512, Vocabulary = 544;

    /// <param name="folder">Folder to write into.</param>
    /// <param name="sentencePiece">Whether to write a tokenizer.model instead of a tokenizer.json.</param>
    public static OpenFlamingoSource Write(string folder, bool sentencePiece)
    {
        var (vision, language) = (Directory.CreateDirectory(Path.Combine(folder, "vision")).FullName,
            Directory.CreateDirectory(Path.Combine(folder, "language")).FullName);
        File.WriteAllText(Path.Combine(vision, "open_clip_config.json"), """
            {
              "model_cfg": {
                "embed_dim": 8, "quick_gelu": true,
                "vision_cfg": {"image_size": 8, "layers": 1, "width": 8, "head_width": 4, "patch_size": 4}
              },
              "preprocess_cfg": {"mean": [0.48, 0.45, 0.40], "std": [0.26, 0.26, 0.27]}
            }
            """);
        TorchFile.WriteStateDict(Path.Combine(vision, "open_clip_pytorch_model.bin"), Vision());

        File.WriteAllText(Path.Combine(language, "config.json"), """
            {
              "model_type": "llama", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1,
              "intermediate_size": 16, "max_position_embeddings": 64, "rms_norm_eps": 1e-4, "hidden_act": "silu", "rope_theta": 10000,
              "rope_scaling": null, "head_dim": 4, "tie_word_embeddings": false
            }
            """);
        var tensors = Language().ToList();
        string[] shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
        foreach (var (shard, part) in shards.Zip(tensors.Chunk((tensors.Count / 2) + 1)))
            SafetensorsWriter.Write(Path.Combine(language, shard), part.ToDictionary(tensor => tensor.Name), null, (_, _) => { }, [],
                CancellationToken.None);
        var map = tensors.Index().ToDictionary(item => item.Item.Name, item => shards[item.Index / ((tensors.Count / 2) + 1)]);
        File.WriteAllText(Path.Combine(language, "model.safetensors.index.json"),
            JsonSerializer.Serialize(new { metadata = new { total_size = 1 }, weight_map = map }));
        var tokenizer = RepositoryFiles.Path("tests", "reference", "tokenizers", "llama");
        string[] names = [sentencePiece ? "tokenizer.model" : "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"];
        foreach (var name in names)
            File.WriteAllBytes(Path.Combine(language, name), File.ReadAllBytes(Path.Combine(tokenizer, name)));

        TorchFile.WriteStateDict(Path.Combine(folder, "checkpoint.pt"), Checkpoint());
        return new OpenFlamingoSource(vision, language, Path.Combine(folder, "checkpoint.pt"), 1);
    }

    private static IEnumerable<SourceTensor> Vision()
    {
        const string Block = "visual.transformer.resblocks.0";
        return
        [
            Tensor("visual.class_embedding", Width), Tensor("visual.positional_embedding", 5, Width),
            Tensor("visual.conv1.weight", Width, 3, 4, 4), .. Norm("visual.ln_pre"), .. Norm("visual.ln_post"),
            Tensor("visual.proj", Width, Width),
            .. Norm($"{Block}.ln_1"), .. Norm($"{Block}.ln_2"), Tensor($"{Block}.attn.in_proj_weight", 3 * Width, Width),
            Tensor($"{Block}.attn.in_proj_bias", 3 * Width),
            .. Linear($"{Block}.attn.out_proj", Width, Width), .. Linear($"{Block}.mlp.c_fc", 16, Width),
            .. Linear($"{Block}.mlp.c_proj", Width, 16),
        ];
    }

    private static IEnumerable<SourceTensor> Language()
    {
        const string Layer = "model.layers.0";
        return
        [
            Tensor("model.embed_tokens.weight", 541, Width), Tensor("lm_head.weight", 541, Width), Tensor("model.norm.weight", Width),
            Tensor($"{Layer}.input_layernorm.weight", Width), Tensor($"{Layer}.post_attention_layernorm.weight", Width),
            Tensor($"{Layer}.self_attn.q_proj.weight", Width, Width), Tensor($"{Layer}.self_attn.k_proj.weight", 4, Width),
            Tensor($"{Layer}.self_attn.v_proj.weight", 4, Width), Tensor($"{Layer}.self_attn.o_proj.weight", Width, Width),
            Tensor($"{Layer}.mlp.gate_proj.weight", 16, Width), Tensor($"{Layer}.mlp.up_proj.weight", 16, Width),
            Tensor($"{Layer}.mlp.down_proj.weight", Width, 16),
        ];
    }

    private static IEnumerable<SourceTensor> Checkpoint()
    {
        const string Resampler = "perceiver.layers.0", Gated = "lang_encoder.model.layers.0.gated_cross_attn_layer";
        return
        [
            Tensor("perceiver.latents", 4, Width), .. Norm("perceiver.norm"), .. Norm($"{Resampler}.0.norm_media"),
            .. Norm($"{Resampler}.0.norm_latents"), .. Norm($"{Resampler}.1.0"),
            Tensor($"{Resampler}.0.to_q.weight", Inner, Width), Tensor($"{Resampler}.0.to_kv.weight", 2 * Inner, Width),
            Tensor($"{Resampler}.0.to_out.weight", Width, Inner), Tensor($"{Resampler}.1.1.weight", 16, Width),
            Tensor($"{Resampler}.1.3.weight", Width, 16),
            Tensor("lang_encoder.model.embed_tokens.weight", Vocabulary, Width), .. Norm($"{Gated}.attn.norm"), .. Norm($"{Gated}.ff.0"),
            Tensor($"{Gated}.attn.to_q.weight", Inner, Width), Tensor($"{Gated}.attn.to_kv.weight", 2 * Inner, Width),
            Tensor($"{Gated}.attn.to_out.weight", Width, Inner), Tensor($"{Gated}.attn_gate", 1), Tensor($"{Gated}.ff.1.weight", 16, Width),
            Tensor($"{Gated}.ff.3.weight", Width, 16), Tensor($"{Gated}.ff_gate", 1),
        ];
    }

    private static SourceTensor[] Norm(string name) => [Tensor($"{name}.weight", Width), Tensor($"{name}.bias", Width)];

    private static SourceTensor[] Linear(string name, long outputs, long inputs) =>
        [Tensor($"{name}.weight", outputs, inputs), Tensor($"{name}.bias", outputs)];

    private static SourceTensor Tensor(string name, params long[] shape) =>
        new(name, "F16", shape, () => new byte[2 * shape.Aggregate(1L, (product, length) => product * length)]);
}
