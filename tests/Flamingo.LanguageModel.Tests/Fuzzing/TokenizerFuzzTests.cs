using System.Text.Json.Nodes;
using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Tests.Tokenization;
using Flamingo.LanguageModel.Tokenization;
using Flamingo.Testing.Fuzzing;

namespace Flamingo.LanguageModel.Tests.Fuzzing;

/// <summary>
/// Damaged tokenizer.json files are either refused with a message that names the fault, or read as tokenizers that encode and
/// decode.
/// </summary>
public sealed class TokenizerFuzzTests : IDisposable
{
    private static readonly string[] Texts = [
        "a large red circle<image> é\u4e16", "  <s>▁e\u0316\u0301 \n😀", new('a', 3000), string.Concat(Enumerable.Repeat("is square ", 300))
    ];
    private readonly string _folder = Directory.CreateTempSubdirectory("flamingo-fuzz-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("neox", false, 21)]
    [InlineData("llama", false, 22)]
    [InlineData("llama", true, 23)]
    public void Tokenizers(string kind, bool metaspace, int seed)
    {
        var json = TokenizerFiles.WithFlamingoTokens(kind);
        if (metaspace)
            (json["normalizer"], json["pre_tokenizer"]) =
                (null, JsonNode.Parse("""{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false}"""));
        var text = json.ToJsonString();
        var run = FuzzRun.Of(seed, 500, Path.Combine(_folder, "tokenizer.json"), random => JsonMutations.Apply(text, random), file =>
        {
            var tokenizer = JsonTokenizer.Load(file);
            Assert.InRange(tokenizer.Size, 256, TokenizerLimits.MostTokens);
            Assert.InRange(tokenizer.Beginning.Count, 0, TokenizerLimits.MostBefore);
            foreach (var each in Texts)
            {
                var ids = tokenizer.Encode(each);
                Assert.NotEmpty(ids);
                Assert.All(ids, id => Assert.InRange(id, 0, tokenizer.Size - 1));
                Assert.InRange(tokenizer.Decode(ids, skipSpecial: false).Length, 1, TokenizerLimits.LongestToken * ids.Count);
            }
        });
        Assert.InRange(run.Accepted, 1, 450);
    }

    /// <summary>Every refusal names the field, and reading uses memory of at most a small multiple of the file size.</summary>
    [Theory]
    [InlineData("model.vocab", "{\"a\": 2147483647}", "model.vocab's 'a' is 2147483647; ids range from 0 to 1048575")]
    [InlineData("model.vocab", "{\"a\": 1.5}", "model.vocab's 'a' is 1.5")]
    [InlineData("model.vocab", "[]", "model.vocab is not an object")]
    [InlineData("added_tokens", "[{\"id\": 2147483647, \"content\": \"x\"}]", "added_tokens[0] is 2147483647")]
    [InlineData("added_tokens", "[{\"id\": 600, \"content\": null}]", "'content' is missing")]
    [InlineData("added_tokens", "[{\"id\": 600, \"content\": 7}]", "added_tokens[0].content' is 7")]
    [InlineData("added_tokens", "[{\"id\": 600, \"content\": \"<x>\", \"special\": \"yes\"}]", "'special' is 'yes'")]
    [InlineData("added_tokens", "{}", "'added_tokens' is an object instead of a list")]
    [InlineData(
        "post_processor",
        """{"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": null}}, {"Sequence": {"id": "A"}}], "special_tokens": {}}""",
        "'id' is missing")]
    [InlineData(
        "post_processor",
        """{"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}], "special_tokens": {}}""",
        "'<s>' is missing")]
    [InlineData(
        "post_processor",
        """
        {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
         "special_tokens": {"<s>": {"ids": [-1]}}}
        """,
        "of the post_processor is -1")]
    [InlineData("decoder", "7", "'type' cannot be read from 7")]
    public void A_fault_is_named_by_its_field(string path, string value, string named)
    {
        var json = TokenizerFiles.Reference("llama");
        var parts = path.Split('.');
        (parts.Length == 1 ? json : json[parts[0]]!)[parts[^1]] = JsonNode.Parse(value);
        Refuse(json.ToJsonString(), named);
    }

    [Fact]
    public void Nothing_is_larger_than_the_file_lets_one_expect()
    {
        var list = TokenizerFiles.Reference("llama");
        var before = string.Concat(Enumerable.Repeat("{\"SpecialToken\": {\"id\": \"<s>\"}}, ", 5000));
        var ids = string.Join(", ", Enumerable.Repeat(1, 5000));
        list["post_processor"] = JsonNode.Parse(
            $$$"""
            {"type": "TemplateProcessing", "single": [{{{before}}}{"Sequence": {"id": "A"}}],
             "special_tokens": {"<s>": {"ids": [{{{ids}}}]} } }
            """);
        Refuse(list.ToJsonString(), "more than 16 tokens before a text");

        var token = TokenizerFiles.Reference();
        TokenizerFiles.Add(token, 600, new string('x', 2000), special: true, normalized: false);
        Refuse(token.ToJsonString(), "has 2000 characters; tokens have at most 1024");

        var tokens = TokenizerFiles.Reference();
        for (var id = 600; id < 2000; id++)
            TokenizerFiles.Add(tokens, id, $"{new string('x', 1000)}{id}", special: true, normalized: false);
        Refuse(tokens.ToJsonString(), "the added_tokens have more than 1048576 characters together");

        Refuse("""{"model": {"type": "BPE", "vocab": {"a": 1, "a": 2}, "merges": []}}""", "Duplicate");
    }

    [Fact]
    public void A_file_too_large_to_be_a_tokenizer_is_not_read()
    {
        var file = Path.Combine(_folder, "tokenizer.json");
        using (var stream = File.Create(file)) stream.SetLength(3L << 30); // a sparse file
        Assert.Contains(file, Assert.Throws<CheckpointException>(() => JsonTokenizer.Load(file)).Message, StringComparison.Ordinal);
    }

    private void Refuse(string json, string named)
    {
        var run = FuzzRun.Of(24, 1, Path.Combine(_folder, "tokenizer.json"), _ => System.Text.Encoding.UTF8.GetBytes(json), file =>
        {
            try
            {
                JsonTokenizer.Load(file);
            }
            catch (CheckpointException exception)
            {
                Assert.Contains(file, exception.Message, StringComparison.Ordinal);
                Assert.Contains("Use the file that was published", exception.Message, StringComparison.Ordinal);
                throw;
            }
        }, named);
        Assert.Equal(1, run.Refused);
    }
}
