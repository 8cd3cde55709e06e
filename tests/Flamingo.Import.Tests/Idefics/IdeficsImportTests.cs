using System.Text.Json.Nodes;
using Flamingo.Checkpoints;
using Flamingo.Import.Sources;
using Flamingo.Testing;

namespace Flamingo.Import.Tests.Idefics;

public sealed class IdeficsImportTests : IDisposable
{
    private static readonly string Reference = RepositoryFiles.Path("tests", "reference", "families", "idefics");
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Says_what_idefics_has_of_its_own()
    {
        var model = Run(Reference);
        var (vision, resampler, cross, tokens) =
            (model.Config.Vision, model.Config.Resampler, model.Config.Language.CrossAttention, model.Config.Tokens);
        Assert.Equal(("gelu", true, "square", "white", 0),
            (vision.Activation, vision.ClassTokenInFeatures, vision.Preprocessing.Resize, vision.Preprocessing.Alpha, vision.PooledWidth));
        Assert.Equal((4, 24, 16, "relu", "per_head", false),
            (resampler.Heads, resampler.HeadWidth, resampler.Latents, resampler.Activation, resampler.QueryKeyNorm, resampler.PassesOn));
        Assert.Equal(("rms_norm", "swiglu", "per_head", false, 1e-4),
            (cross.Norm, cross.FeedForward, cross.QueryKeyNorm, cross.VectorGates, cross.LayerNormEpsilon));
        Assert.Equal([0, 2], cross.Layers);
        Assert.Equal((541, 542, 543, 1), (tokens.AroundImage!.Id, tokens.Image.Id, tokens.EndOfChunk.Id, tokens.Beginning!.Id));
        Assert.Equal([2, 543], tokens.Stop);
        Assert.Equal([542, 541], tokens.Banned);
        Assert.Equal(4, model.Config.Provenance.Sources.Count(source => source.File.EndsWith(".safetensors", StringComparison.Ordinal)));
    }

    [Fact]
    public void Frozen_and_trained_rows_are_one_again()
    {
        var model = Run(Reference);
        using var source = WeightSource.Open(Reference);
        using var language = model.OpenWeights("language");
        byte[] Rows(params string[] names) => [.. names.SelectMany(name => source.Tensors[name].Read())];
        byte[] Written(string name) => language.Read(language.Entries[name]).ToArray();
        Assert.Equal(544, model.Config.Language.VocabularySize);
        Assert.Equal(Rows("model.embed_tokens.weight", "model.embed_tokens.additional_embedding.weight"),
            Written("token_embedding.weight"));
        Assert.Equal(Rows("lm_head.weight", "lm_head.additional_fc.weight"), Written("output.weight"));
        Assert.Equal(Rows("model.gated_cross_attn_layers.1.cross_attn.k_proj.weight",
            "model.gated_cross_attn_layers.1.cross_attn.v_proj.weight"),
            Written("layers.2.gated_cross_attention.attention.key_value.weight"));
    }

    [Fact]
    public void Without_a_resampler_features_are_latents()
    {
        var folder = Altered(config => config["use_resampler"] = false,
            (name, _) => !name.StartsWith("model.perceiver_resampler.", StringComparison.Ordinal));
        var model = Run(folder);
        Assert.Equal((true, 17, 32), (model.Config.Resampler.PassesOn, model.Config.Resampler.Latents, model.Config.Resampler.Width));
        using var resampler = model.OpenWeights("resampler");
        Assert.Empty(resampler.Entries);
        Assert.Contains("unexpected: model.perceiver_resampler.latents",
            Assert.Throws<CheckpointException>(() => Run(Altered(config => config["use_resampler"] = false), "other")).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Vector_gates_lose_their_empty_dimensions()
    {
        var model = Run(Altered(config => config["alpha_type"] = "vector",
            change: tensor => tensor.Name.Contains(".alpha_", StringComparison.Ordinal)
            ? tensor with { Shape = [1, 1, 64], Read = () => [.. Enumerable.Repeat(tensor.Read(), 64).SelectMany(bytes => bytes)] }
            : tensor));
        Assert.True(model.Config.Language.CrossAttention.VectorGates);
        using var language = model.OpenWeights("language");
        Assert.Equal([64], language.Entries["layers.0.gated_cross_attention.attention_gate"].Shape);
    }

    [Fact]
    public void Mean_and_deviation_that_are_null_are_clips()
    {
        var folder = Altered(_ => { });
        File.WriteAllText(Path.Combine(folder, "preprocessor_config.json"),
            """{"image_mean": null, "image_std": null, "image_size": 32}""");
        Assert.Equal([0.48145466f, 0.4578275f, 0.40821073f], Run(folder).Config.Vision.Preprocessing.Mean);
    }

    [Fact]
    public void What_a_nested_configuration_leaves_out_follows_from_shapes_or_is_the_default()
    {
        var vision = Run(Altered(config =>
        {
            foreach (var member in new[] { "embed_dim", "patch_size", "num_hidden_layers", "num_attention_heads", "intermediate_size" })
                config["vision_config"]!.AsObject().Remove(member);
        })).Config.Vision;
        Assert.Equal((32, 8, 2, 16, 128), (vision.Width, vision.PatchSize, vision.Layers, vision.Heads, vision.FeedForwardWidth));
    }

    [Fact]
    public void Another_model_and_a_missing_shard_are_named()
    {
        Assert.Contains("not idefics",
            Assert.Throws<CheckpointException>(() => Run(Altered(config => config["model_type"] = "idefics2"))).Message,
            StringComparison.Ordinal);
        var folder = Altered(_ => { }, (name, _) => !name.Contains(".alpha_dense", StringComparison.Ordinal));
        Assert.Contains("missing: model.gated_cross_attn_layers.1.alpha_dense",
            Assert.Throws<CheckpointException>(() => Run(folder)).Message, StringComparison.Ordinal);
    }

    private ModelDirectory Run(string folder, string output = "model") =>
        IdeficsImport.Run(new IdeficsSource(folder), _folder[output], null, CancellationToken.None);

    /// <summary>Copies the reference checkpoint with a changed configuration and with changed weights in one file.</summary>
    private string Altered(Action<JsonNode> config, Func<string, SourceTensor, bool>? keep = null,
        Func<SourceTensor, SourceTensor>? change = null)
    {
        var folder = Directory.CreateDirectory(_folder[Guid.NewGuid().ToString("N")]).FullName;
        foreach (var file in Directory.GetFiles(Reference, "*.json").Where(file => !file.EndsWith(".index.json", StringComparison.Ordinal)))
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        var json = JsonNode.Parse(File.ReadAllText(Path.Combine(Reference, "config.json")))!;
        config(json);
        File.WriteAllText(Path.Combine(folder, "config.json"), json.ToJsonString());
        using var source = WeightSource.Open(Reference);
        var tensors = source.Tensors.Values.Where(tensor => keep?.Invoke(tensor.Name, tensor) ?? true)
            .ToDictionary(tensor => tensor.Name, tensor => change?.Invoke(tensor) ?? tensor);
        SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"), tensors, null, (_, _) => { }, [], CancellationToken.None);
        return folder;
    }
}
