using System.Text.Json;
using System.Text.Json.Nodes;
using Flamingo.LanguageModel.Tokenization;
using Flamingo.Testing;

namespace Flamingo.LanguageModel.Tests.Tokenization;

/// <summary>Id for id what Hugging Face's tokenizers library gave (tests/reference/tokenizers/text.json).</summary>
public sealed class ReferenceTextTests
{
    private static readonly JsonTokenizer Tokenizer = TokenizerFiles.Load(TokenizerFiles.WithFlamingoTokens());

    public sealed record Expected(string Text, int[] Ids, int[] WithSpecial, string Decoded, string DecodedSkipSpecial);

    public static IReadOnlyList<Expected> Texts { get; } = JsonDocument
        .Parse(File.ReadAllBytes(RepositoryFiles.Path("tests", "reference", "tokenizers", "text.json"))).RootElement.GetProperty("neox")
        .Deserialize<Expected[]>(new JsonSerializerOptions { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower })!;

    public static TheoryData<int> Indices => [.. Enumerable.Range(0, Texts.Count)];

    [Fact]
    public void All_49_strings_are_there() => Assert.Equal(49, Texts.Count);

    [Theory]
    [MemberData(nameof(Indices))]
    public void Text_becomes_the_reference_ids_and_comes_back(int index)
    {
        var expected = Texts[index];
        Assert.Equal(expected.Ids, Tokenizer.Encode(expected.Text));
        Assert.Equal(expected.WithSpecial, Tokenizer.Encode(expected.Text));
        Assert.Equal(expected.Decoded, Tokenizer.Decode(expected.Ids, skipSpecial: false));
        Assert.Equal(expected.DecodedSkipSpecial, Tokenizer.Decode(expected.Ids, skipSpecial: true));
    }

    [Fact]
    public void Merges_written_as_pairs_are_the_same_merges()
    {
        var json = TokenizerFiles.WithFlamingoTokens();
        var merges = json["model"]!["merges"]!.AsArray();
        json["model"]!["merges"] = new JsonArray([.. merges.Select(merge => (JsonNode)new JsonArray([.. merge!.GetValue<string>().Split(' ').Select(part => (JsonNode)part)]))]);
        var pairs = TokenizerFiles.Load(json);
        Assert.All(Texts, expected => Assert.Equal(expected.Ids, pairs.Encode(expected.Text)));
    }

    [Fact]
    public void The_default_model_reads_its_golden_prompts()
    {
        var shapes = JsonTokenizer.Load(RepositoryFiles.Path("models", "shapes", "tokenizer.json"));
        using var golden = JsonDocument.Parse(File.ReadAllBytes(RepositoryFiles.Path("tests", "reference", "shapes", "evaluation", "golden_tensors.json")));
        Assert.NotEmpty(golden.RootElement.EnumerateArray());
        foreach (var prompt in golden.RootElement.EnumerateArray())
            Assert.Equal(prompt.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32()), shapes.Encode(prompt.GetProperty("text").GetString()!));
    }
}
