using System.Text.Json;
using System.Text.Json.Nodes;
using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Tokenization;
using Flamingo.Testing;

namespace Flamingo.LanguageModel.Tests.Tokenization;

/// <summary>
/// Compares ids with those of Hugging Face's tokenizers library (tests/reference/tokenizers/metaspace.json, which describes how
/// it was created).
/// </summary>
public sealed class MetaspaceTests
{
    private static readonly JsonObject Reference =
        JsonNode.Parse(File.ReadAllBytes(RepositoryFiles.Path("tests", "reference", "tokenizers", "metaspace.json")))!.AsObject();

    public static TheoryData<int> Settings => [.. Enumerable.Range(0, Reference["settings"]!.AsArray().Count)];

    [Fact]
    public void All_settings_are_there() => Assert.Equal((7, 25), (Settings.Count, Reference["texts"]!.AsArray().Count));

    [Theory]
    [MemberData(nameof(Settings))]
    public void Texts_become_the_reference_ids(int index)
    {
        var setting = Reference["settings"]![index]!;
        var tokenizer = TokenizerFiles.Load(With(setting["pre_tokenizer"]!.AsObject()));
        foreach (var (text, ids) in Reference["texts"].Deserialize<string[]>()!.Zip(setting["ids"].Deserialize<int[][]>()!))
            Assert.Equal(ids, tokenizer.Encode(text));
    }

    /// <summary>
    /// Examples of the three schemes: a space only before the whole text, before every stretch of text, or never. Unlike the
    /// normaliser, a Metaspace never puts a second space.
    /// </summary>
    [Theory]
    [InlineData("first", "a<image>a", "▁a", "<image>", "a")]
    [InlineData("always", "a<image>a", "▁a", "<image>", "▁a")]
    [InlineData("never", "a<image>a", "a", "<image>", "a")]
    [InlineData("first", "<image>a", "<image>", "a")]
    [InlineData("first", " a", "▁a")]
    [InlineData("never", " a", "▁a")]
    public void A_blank_is_put_where_the_scheme_says(string scheme, string text, params string[] tokens)
    {
        var json = TokenizerFiles.WithFlamingoTokens("llama");
        (json["normalizer"], json["pre_tokenizer"]) =
            (null, new JsonObject { ["type"] = "Metaspace", ["replacement"] = "▁", ["prepend_scheme"] = scheme, ["split"] = false });
        var known = json["model"]!["vocab"]!.AsObject().ToDictionary(token => token.Key, token => token.Value!.GetValue<int>());
        Assert.Equal(tokens.Select(token => token == "<image>" ? 542 : known[token]), TokenizerFiles.Load(json).Encode(text));
    }

    [Theory]
    [InlineData("replacement", "\"_\"", "replacement '_'")]
    [InlineData("replacement", "null", "'replacement' is missing")]
    [InlineData("prepend_scheme", "\"sometimes\"", "'sometimes'")]
    [InlineData("prepend_scheme", "1", "'prepend_scheme' is 1")]
    [InlineData("split", "\"no\"", "'split' is 'no'")]
    [InlineData("unheard", "1", "unheard")]
    [InlineData("add_prefix_space", "false", "add_prefix_space is false")]
    public void What_is_not_supported_is_named(string member, string value, string named)
    {
        var json = With(new JsonObject());
        json["pre_tokenizer"]![member] = JsonNode.Parse(value);
        Assert.Contains(named, Assert.Throws<CheckpointException>(() => TokenizerFiles.Load(json)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_normalizer_beside_it_is_named()
    {
        var json = With(new JsonObject());
        json["normalizer"] = TokenizerFiles.Reference("llama")["normalizer"]!.DeepClone();
        Assert.Contains(
            "[Prepend, Replace]", Assert.Throws<CheckpointException>(() => TokenizerFiles.Load(json)).Message, StringComparison.Ordinal);
    }

    // The tokenizer that the reference was created with.
    private static JsonObject With(JsonObject settings)
    {
        var json = TokenizerFiles.Reference("llama");
        var metaspace = settings.DeepClone().AsObject();
        (metaspace["type"], metaspace["replacement"]) = ("Metaspace", "▁");
        (json["normalizer"], json["post_processor"], json["pre_tokenizer"]) = (null, null, metaspace);
        (json["model"]!["vocab"]!["a▁"], json["model"]!["vocab"]!["▁▁"]) = (541, 542);
        json["model"]!["merges"]!.AsArray().Insert(0, "a ▁");
        json["model"]!["merges"]!.AsArray().Insert(1, "▁ ▁");
        foreach (var (index, content) in ((string[])["<|endofchunk|>", "<image>", "<PAD>"]).Index())
            TokenizerFiles.Add(json, 543 + index, content, special: true, normalized: false);
        return json;
    }
}
