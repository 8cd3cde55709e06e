using System.Text.Json.Nodes;
using Flamingo.Checkpoints;
using Flamingo.Testing;

namespace Flamingo.Import.Tests.Sources;

/// <summary>
/// Tests that the importer uses every key of a configuration that changes the computation, or refuses it by its name, and that an unknown
/// key is a warning.
/// </summary>
public sealed class ConfigKeysTests : IDisposable
{
    private const string Clip = "vision/open_clip_config.json", Language = "language/config.json",
        Tokenizer = "language/tokenizer_config.json";
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("mpt1b", 1)]
    [InlineData("mpt7b", 2)]
    [InlineData("neox", 2)]
    [InlineData("pythia", 4)]
    [InlineData("llama", 2)]
    [InlineData("idefics", 0)]
    public void The_reference_families_have_no_unknown_key(string family, int every) =>
        Assert.Null(Run(Copy(family), every).Config.Provenance.Warnings);

    [Theory]
    [InlineData("mpt7b", "attn_config.clip_qkv", "6")]
    [InlineData("mpt7b", "attn_config.softmax_scale", "0.5")]
    [InlineData("mpt7b", "attn_config.attn_type", "\"multiquery_attention\"")]
    [InlineData("mpt7b", "attn_config.prefix_lm", "true")]
    [InlineData("mpt7b", "attn_config.kv_n_heads", "2")]
    [InlineData("mpt7b", "attn_config.alibi", "false")]
    [InlineData("mpt7b", "attn_config.rope", "true")]
    [InlineData("mpt7b", "attn_config.attn_uses_sequence_id", "true")]
    [InlineData("mpt7b", "attn_config.sliding_window_size", "64")]
    [InlineData("mpt7b", "logit_scale", "\"inv_sqrt_d_model\"")]
    [InlineData("mpt7b", "prefix_lm", "true")]
    [InlineData("mpt7b", "norm_type", "\"rmsnorm\"")]
    [InlineData("mpt7b", "tie_word_embeddings", "false")]
    [InlineData("mpt7b", "ffn_config.ffn_type", "\"mptglu\"")]
    [InlineData("mpt1b", "alibi", "false")]
    [InlineData("mpt1b", "alibi", "null")]
    [InlineData("mpt1b", "attn_clip_qkv", "6")]
    [InlineData("mpt1b", "softmax_scale", "0.5")]
    [InlineData("mpt1b", "prefix_lm", "true")]
    [InlineData("mpt1b", "logit_scale", "0.1")]
    [InlineData("neox", "hidden_act", "\"gelu_new\"")]
    [InlineData("neox", "rope_scaling.type", "\"linear\"")]
    [InlineData("neox", "rope_parameters.rope_type", "\"yarn\"")]
    [InlineData("neox", "rope_theta", "20000")]
    [InlineData("llama", "hidden_act", "\"relu\"")]
    [InlineData("llama", "head_dim", "32")]
    [InlineData("llama", "partial_rotary_factor", "0.5")]
    [InlineData("llama", "rope_parameters.rope_type", "\"llama3\"")]
    [InlineData("llama", "quantization_config.quant_method", "\"gptq\"")]
    [InlineData("llama", "pruned_heads.0", "[1]")]
    public void A_key_of_a_language_model_that_would_be_computed_wrongly_is_named(string family, string key, string value) =>
        Refused(family, Language, key, value);

    [Theory]
    [InlineData("model_cfg.vision_cfg.ls_init_value", "0.1")]
    [InlineData("model_cfg.vision_cfg.attentional_pool", "true")]
    [InlineData("model_cfg.vision_cfg.no_ln_pre", "true")]
    [InlineData("model_cfg.vision_cfg.pos_embed_type", "\"sin_cos_2d\"")]
    [InlineData("model_cfg.vision_cfg.timm_model_name", "\"vit_base\"")]
    [InlineData("model_cfg.vision_cfg.norm_kwargs.eps", "1e-6")]
    [InlineData("preprocess_cfg.interpolation", "\"bilinear\"")]
    [InlineData("preprocess_cfg.resize_mode", "\"squash\"")]
    [InlineData("preprocess_cfg.size", "64")]
    public void A_key_of_open_clip_that_would_be_computed_wrongly_is_named(string key, string value) => Refused("mpt7b", Clip, key, value);

    [Theory]
    [InlineData("config.json", "vision_config.hidden_act", "\"relu\"")]
    [InlineData("config.json", "vision_config.num_channels", "1")]
    [InlineData("config.json", "cross_layer_activation_function", "\"gelu\"")]
    [InlineData("config.json", "alpha_type", "\"matrix\"")]
    [InlineData("config.json", "rope_theta", "500000")]
    [InlineData("config.json", "hidden_act", "\"gelu\"")]
    [InlineData("config.json", "num_key_value_heads", "2")]
    [InlineData("preprocessor_config.json", "do_normalize", "false")]
    [InlineData("preprocessor_config.json", "resample", "2")]
    [InlineData("preprocessor_config.json", "image_size", "64")]
    [InlineData("tokenizer_config.json", "eos_token", "\"<s>\"")]
    public void A_key_of_idefics_that_would_be_computed_wrongly_is_named(string file, string key, string value) =>
        Refused("idefics", file, key, value);

    [Theory]
    [InlineData("llama", "add_eos_token", "true")]
    [InlineData("llama", "add_bos_token", "false")]
    [InlineData("neox", "add_bos_token", "true")]
    [InlineData("neox", "add_prefix_space", "true")]
    [InlineData("neox", "do_lower_case", "true")]
    [InlineData("llama", "sp_model_kwargs.enable_sampling", "true")]
    public void A_key_of_a_tokenizer_that_would_be_read_wrongly_is_named(string family, string key, string value) =>
        Refused(family, Tokenizer, key, value);

    [Fact]
    public void Tokens_that_the_tokenizer_lacks_are_named()
    {
        var decoder = Assert.Throws<CheckpointException>(() =>
            Run(Changed("neox", Tokenizer, config => config["added_tokens_decoder"] =
                JsonNode.Parse("""{"532": {"content": "<|chat|>", "special": true}}""")), 2));
        Assert.Contains("'<|chat|>' with id 532", decoder.Message, StringComparison.Ordinal);
        var llama = Copy("llama");
        File.WriteAllText(Path.Combine(llama, "language", "added_tokens.json"), """{"<pad>": 541}""");
        Assert.Contains("'<pad>' with id 541", Assert.Throws<CheckpointException>(() => Run(llama, 2)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void All_of_them_stand_in_one_report()
    {
        var folder = Changed("mpt7b", Language, config => (config["attn_config"]!["clip_qkv"], config["logit_scale"]) = (6, 0.5));
        Set(folder, Clip, "preprocess_cfg.interpolation", "\"bilinear\"");
        Set(folder, Tokenizer, "add_eos_token", "true");
        var report = Assert.Throws<CheckpointException>(() => Run(folder, 2)).Message;
        foreach (var named in new[] { "attn_config.clip_qkv is 6", "logit_scale is 0.5", "preprocess_cfg.interpolation is bilinear",
            "add_eos_token is true" }) Assert.Contains(named, report, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("mpt7b", Language, "attn_config.unheard_of", "attn_config.unheard_of")]
    [InlineData("mpt7b", Clip, "model_cfg.vision_cfg.unheard_of", "model_cfg.vision_cfg.unheard_of")]
    [InlineData("neox", Language, "unheard_of", "unheard_of")]
    [InlineData("llama", Tokenizer, "unheard_of", "unheard_of")]
    [InlineData("idefics", "config.json", "perceiver_config.unheard_of", "perceiver_config.unheard_of")]
    [InlineData("idefics", "preprocessor_config.json", "unheard_of", "unheard_of")]
    public void An_unknown_key_is_a_warning(string family, string file, string key, string named)
    {
        var warning = Assert.Single(Run(Set(Copy(family), file, key, "1"), 2).Config.Provenance.Warnings!);
        Assert.Contains(Path.GetFileName(file), warning, StringComparison.Ordinal);
        Assert.EndsWith($": {named}", warning, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_computed_is_read_where_it_stands()
    {
        Assert.Equal(16, Run(Set(Copy("mpt7b"), Language, "attn_config.alibi_bias_max", "16"), 2, "mpt7b").Config.Language.AlibiMaxBias);
        Assert.Equal(4, Run(Set(Copy("mpt1b"), Language, "alibi_bias_max", "4"), 1, "mpt1b").Config.Language.AlibiMaxBias);
        Assert.Contains("missing: transformer.blocks.0.attn.q_ln.weight",
            Assert.Throws<CheckpointException>(() => Run(Set(Copy("mpt7b"), Language, "attn_config.qk_ln", "true"), 2)).Message,
            StringComparison.Ordinal);
        Assert.Equal(500000, Run(Changed("llama", Language, config =>
            (config["rope_theta"], config["rope_parameters"]) =
            (null, JsonNode.Parse("""{"rope_type": "default", "rope_theta": 500000}"""))), 2, "llama").Config.Language.RotaryBase);
        var pythia = Run(Changed("pythia", Language, config =>
        {
            foreach (var key in new[] { "rotary_pct", "rotary_emb_base" }) config.AsObject().Remove(key);
            config["rope_parameters"] = JsonNode.Parse("""{"rope_type": "default", "rope_theta": 20000, "partial_rotary_factor": 0.5}""");
        }), 4, "pythia").Config.Language;
        Assert.Equal((20000, 0.5), (pythia.RotaryBase, pythia.RotaryFraction));
        Assert.Null(Run(Changed("llama", Language, config => config["rope_scaling"] = JsonNode.Parse("""{"rope_type": "default"}""")), 2,
            "plain").Config.Provenance.Warnings);
    }

    private void Refused(string family, string file, string key, string value)
    {
        var folder = Set(Copy(family), file, key, value);
        var refused = Assert.Throws<CheckpointException>(() => Run(folder, family switch { "mpt1b" => 1, "pythia" => 4, _ => 2 })).Message;
        Assert.Contains(key.Split('.')[^1] is "0" or "quant_method" or "eps" or "enable_sampling" ? key.Split('.')[^2]
            : key, refused, StringComparison.Ordinal);
        Assert.Contains(Path.GetFileName(file), refused, StringComparison.Ordinal);
        Assert.False(Directory.Exists(_folder["model"]));
    }

    private string Changed(string family, string file, Action<JsonNode> change)
    {
        var path = Path.Combine(Copy(family), file);
        var json = JsonNode.Parse(File.ReadAllText(path))!;
        change(json);
        File.WriteAllText(path, json.ToJsonString());
        return _folder[family];
    }

    /// <summary>Sets one value of a JSON file.</summary>
    /// <param name="folder">Folder of the publication.</param>
    /// <param name="file">Path of the file in the folder.</param>
    /// <param name="key">Key with dots between the names of nested objects. Missing objects are created.</param>
    /// <param name="value">The value as JSON.</param>
    private static string Set(string folder, string file, string key, string value)
    {
        var path = Path.Combine(folder, file);
        var json = JsonNode.Parse(File.ReadAllText(path))!;
        var (names, at) = (key.Split('.'), json.AsObject());
        foreach (var name in names[..^1])
        {
            if (at[name] is not JsonObject) at[name] = new JsonObject();
            at = at[name]!.AsObject();
        }

        at[names[^1]] = JsonNode.Parse(value);
        File.WriteAllText(path, json.ToJsonString());
        return folder;
    }

    private string Copy(string family)
    {
        var folder = _folder[family];
        if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
        foreach (var part in new[] { "", "vision", "language" })
        {
            var source = RepositoryFiles.Path("tests", "reference", "families", family, part);
            if (Directory.Exists(source)) RepositoryFiles.Copy(source, Directory.CreateDirectory(Path.Combine(folder, part)).FullName);
        }

        return folder;
    }

    private ModelDirectory Run(string folder, int every, string output = "model")
    {
        output = _folder[output == Path.GetFileName(folder) ? $"{output}-model" : output];
        return Path.GetFileName(folder) == "idefics"
            ? IdeficsImport.Run(new IdeficsSource(folder), output, null, CancellationToken.None)
            : OpenFlamingoImport.Run(new OpenFlamingoSource(Path.Combine(folder, "vision"), Path.Combine(folder, "language"),
                Path.Combine(folder, "checkpoint.pt"), every), output, null, CancellationToken.None);
    }
}
