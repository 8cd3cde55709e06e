using System.Text.Json;
using System.Text.Json.Nodes;
using Flamingo.Checkpoints;
using Flamingo.Testing;

namespace Flamingo.Import.Tests.Tokenizers;

/// <summary>Imports a LLaMA that has a tokenizer.model and no tokenizer.json.</summary>
public sealed class SentencePieceModelTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Becomes_the_tokenizer_json_of_transformers()
    {
        var model = Import(file => { });
        var (found, expected) = (JsonNode.Parse(File.ReadAllText(model.TokenizerPath))!,
            JsonNode.Parse(File.ReadAllText(Source("tokenizer.json")))!);
        foreach (var part in new[] { "normalizer", "pre_tokenizer", "decoder" })
            Assert.True(JsonNode.DeepEquals(expected[part], found[part]), part);
        Assert.True(JsonNode.DeepEquals(expected["model"]!["vocab"], found["model"]!["vocab"]));
        Assert.Equal(expected["model"]!["merges"]!.AsArray().Select(merge => merge!.GetValue<string>()),
            found["model"]!["merges"]!.AsArray().Select(merge => $"{merge![0]} {merge[1]}"));
        Assert.True(JsonNode.DeepEquals(expected["post_processor"]!["single"], found["post_processor"]!["single"]));
        Assert.Equal(["<unk>", "<s>", "</s>", "<|endofchunk|>", "<image>", "<PAD>"],
            found["added_tokens"]!.AsArray().Select(token => token!["content"]!.GetValue<string>()));
        Assert.Equal(new SpecialToken("<s>", 1), model.Config.Tokens.Beginning);
    }

    /// <summary>The expected result is that of LlamaConverter in transformers' convert_slow_tokenizer.py.</summary>
    [Fact]
    public void One_that_is_not_legacy_gets_a_metaspace_instead_of_the_normalizer()
    {
        var (legacy, later) = (Json(Import(_ => { })), Json(Import(_ => { }, "\"legacy\": null", "\"legacy\": false")));
        Assert.Null(later["normalizer"]);
        Assert.True(JsonNode.DeepEquals(
            JsonNode.Parse("""{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false}"""),
            later["pre_tokenizer"]));
        foreach (var part in new[] { "model", "decoder", "added_tokens", "post_processor" })
            Assert.True(JsonNode.DeepEquals(legacy[part], later[part]), part);

        JsonNode Json(ModelDirectory model)
        {
            var json = JsonNode.Parse(File.ReadAllText(model.TokenizerPath))!;
            foreach (var folder in new[] { _folder["language"], model.Path }) Directory.Delete(folder, recursive: true);
            return json;
        }
    }

    [Fact]
    public void A_setting_that_is_not_read_is_named() =>
        Assert.Contains("add_prefix_space is false",
            Assert.Throws<CheckpointException>(() => Import(_ => { }, "\"legacy\": null", "\"add_prefix_space\": false")).Message,
            StringComparison.Ordinal);

    [Theory]
    [InlineData(0.3)]
    [InlineData(0.999)]
    public void A_truncated_one_is_named(double part)
    {
        var refused = Assert.Throws<CheckpointException>(() => Import(file => { file.SetLength((long)(file.Length * part)); }));
        Assert.Contains("tokenizer.model", refused.Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(_folder["model"]));
    }

    private static string Source(params string[] parts) =>
        RepositoryFiles.Path(["tests", "reference", "families", "llama", "language", .. parts]);

    private ModelDirectory Import(Action<FileStream> change, string setting = "", string otherSetting = "")
    {
        var language = Directory.CreateDirectory(_folder["language"]).FullName;
        foreach (var file in Directory.GetFiles(Source()).Where(file => Path.GetFileName(file) != "tokenizer.json"))
            File.Copy(file, Path.Combine(language, Path.GetFileName(file)));
        var settings = Path.Combine(language, "tokenizer_config.json");
        if (setting.Length > 0)
        {
            Assert.Contains(setting, File.ReadAllText(settings), StringComparison.Ordinal);
            File.WriteAllText(settings, File.ReadAllText(settings).Replace(setting, otherSetting, StringComparison.Ordinal));
        }

        using (var tokenizer = File.Open(Path.Combine(language, "tokenizer.model"), FileMode.Open)) change(tokenizer);
        var family = RepositoryFiles.Path("tests", "reference", "families", "llama");
        return OpenFlamingoImport.Run(
            new OpenFlamingoSource(Path.Combine(family, "vision"), language, Path.Combine(family, "checkpoint.pt"), 2), _folder["model"],
            null, CancellationToken.None);
    }
}
