using System.Text.Json.Nodes;
using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Tokenization;

namespace Flamingo.LanguageModel.Tests.Tokenization;

/// <summary>
/// A setting that this build would compute differently from what the file says is refused with a message that names it, and never
/// ignored.
/// </summary>
public sealed class RefusalTests
{
    [Theory]
    [InlineData("model", """{"type": "WordPiece", "vocab": {}}""", "WordPiece")]
    [InlineData("model", """{"type": "BPE", "vocab": {"a": 1}}""", "'merges' is missing")]
    [InlineData("model", """{"type": "BPE", "vocab": {"a": 5}, "merges": []}""", "byte 0x00")]
    [InlineData("model", """{"type": "BPE", "vocab": {"a": 1, "b": 1}, "merges": []}""", "'b' with id 1")]
    [InlineData("model", """{"type": "BPE", "vocab": {"a": "x"}, "merges": []}""", "model.vocab's 'a' is 'x'")]
    [InlineData("model.unheard", "1", "unheard")]
    [InlineData("model.dropout", "0.1", "dropout")]
    [InlineData("model.byte_fallback", "true", "byte_fallback")]
    [InlineData("model.ignore_merges", "true", "ignore_merges")]
    [InlineData("model.end_of_word_suffix", "\"</w>\"", "</w>")]
    [InlineData("model.merges", """["a"]""", "merge 0 is not a pair")]
    [InlineData("model.merges", """["a b c"]""", "merge 0 is not a pair")]
    [InlineData("model.merges", """["zz q"]""", "'zz'")]
    [InlineData("model.merges", """["i s", ["i", "s"]]""", "twice")]
    [InlineData("normalizer", """{"type": "NFKC"}""", "NFKC")]
    [InlineData("normalizer", """{"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]}""", "Lowercase")]
    [InlineData("pre_tokenizer", """{"type": "Whitespace"}""", "Whitespace")]
    [InlineData(
        "pre_tokenizer",
        """{"type": "Sequence", "pretokenizers": [{"type": "Digits"}, {"type": "ByteLevel"}]}""",
        "Digits, ByteLevel")]
    [InlineData("pre_tokenizer", "null", "no pre_tokenizer")]
    [InlineData("post_processor", """{"type": "TemplateProcessing"}""", "TemplateProcessing")]
    [InlineData(
        "post_processor",
        """{"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "x"}}]}""",
        "TemplateProcessing")]
    [InlineData("decoder", """{"type": "Metaspace"}""", "Metaspace")]
    [InlineData("decoder", "null", "no decoder")]
    [InlineData("unheard", "1", "unheard")]
    [InlineData("added_tokens", """[{"id": 0, "content": ""}]""", "added_tokens[0] is empty")]
    [InlineData("added_tokens", """[{"id": 600, "content": "x", "single_word": true}]""", "single_word")]
    [InlineData("added_tokens", """[{"id": 66, "content": "<new>"}]""", "'<new>' with id 66")]
    [InlineData("added_tokens", """[{"id": 600, "content": "a"}]""", "'a' with id 600")]
    [InlineData("added_tokens", """[{"id": 600, "content": "<x>"}, {"id": 600, "content": "<y>"}]""", "'<y>'")]
    [InlineData("added_tokens", """[{"id": 600, "content": "<x>"}, {"id": 601, "content": "<x>"}]""", "with id 601")]
    public void What_is_not_supported_is_named(string path, string value, string named)
    {
        var json = TokenizerFiles.Reference();
        JsonNode node = json;
        var parts = path.Split('.');
        foreach (var part in parts[..^1]) node = node[part]!;
        node[parts[^1]] = JsonNode.Parse(value);
        Assert.Contains(named, Assert.Throws<CheckpointException>(() => TokenizerFiles.Load(json)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("normalizer", "null")]
    [InlineData("normalizer", """{"type": "Sequence", "normalizers": [{"type": "NFC"}]}""")]
    [InlineData("pre_tokenizer", """{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}""")]
    [InlineData("pre_tokenizer", """{"type": "Sequence", "pretokenizers": [{"type": "ByteLevel", "add_prefix_space": false}]}""")]
    [InlineData("post_processor", """{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true}""")]
    [InlineData("truncation", """{"max_length": 1}""")]
    public void Other_spellings_of_the_same_are_read(string part, string value)
    {
        var json = TokenizerFiles.Reference();
        json[part] = JsonNode.Parse(value);
        Assert.Equal([66, 272, 354, 329], TokenizerFiles.Load(json).Encode("a large red circle"));
    }

    [Fact]
    public void A_missing_file_is_named() =>
        Assert.Contains(
            "nowhere.json", Assert.Throws<CheckpointException>(() => JsonTokenizer.Load("/nowhere.json")).Message,
            StringComparison.Ordinal);

    [Fact]
    public void A_file_that_is_no_json_is_named()
    {
        var path = Path.GetTempFileName();
        File.WriteAllText(path, "{\"version\": ");
        try
        {
            Assert.Contains(path, Assert.Throws<CheckpointException>(() => JsonTokenizer.Load(path)).Message, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(path);
        }
    }
}
