using Flamingo.LanguageModel.Tests.Tokenization;
using Flamingo.LanguageModel.Tokenization;
using Flamingo.Testing.Fuzzing;

namespace Flamingo.LanguageModel.Tests.Fuzzing;

/// <summary>Spoiled tokenizer.json files: refused by name, or tokenizers that encode and decode.</summary>
public sealed class TokenizerFuzzTests
{
    [Theory]
    [InlineData("neox", 21)]
    [InlineData("llama", 22)]
    public void Tokenizers(string kind, int seed)
    {
        var json = TokenizerFiles.WithFlamingoTokens(kind).ToJsonString();
        var folder = Directory.CreateTempSubdirectory("flamingo-fuzz-").FullName;
        try
        {
            var run = FuzzRun.Of(seed, 500, Path.Combine(folder, "tokenizer.json"), random => JsonMutations.Apply(json, random), file =>
            {
                var tokenizer = JsonTokenizer.Load(file);
                var ids = tokenizer.Encode("a large red circle<image> é\u4e16");
                Assert.NotEmpty(ids);
                Assert.All(ids.Concat(tokenizer.Beginning), id => Assert.InRange(id, 0, (1 << 20) - 1));
                Assert.NotNull(tokenizer.Decode(ids, skipSpecial: false));
            });
            Assert.InRange(run.Accepted, 1, 450);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void One_long_list_named_many_times_is_refused()
    {
        var json = TokenizerFiles.Reference("llama");
        json["post_processor"] = System.Text.Json.Nodes.JsonNode.Parse($$"""
            {"type": "TemplateProcessing", "single": [{{string.Concat(Enumerable.Repeat("""{"SpecialToken": {"id": "<s>"}}, """, 5000))}} {"Sequence": {"id": "A"}}],
             "special_tokens": {"<s>": {"ids": [{{string.Join(", ", Enumerable.Repeat(1, 5000))}}]}}}
            """);
        Assert.Contains("more than 16 tokens", Assert.Throws<Checkpoints.CheckpointException>(() => TokenizerFiles.Load(json)).Message, StringComparison.Ordinal);
    }
}
