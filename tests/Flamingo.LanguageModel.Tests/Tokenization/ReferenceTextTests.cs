using System.Text.Json;
using System.Text.Json.Nodes;
using Flamingo.LanguageModel.Tokenization;
using Flamingo.Testing;

namespace Flamingo.LanguageModel.Tests.Tokenization;

/// <summary>Compares ids with those of Hugging Face's tokenizers library (tests/reference/tokenizers/text.json).</summary>
public sealed class ReferenceTextTests
{
    private static readonly Dictionary<string, JsonTokenizer> Tokenizers =
        new[] { "neox", "llama" }.ToDictionary(kind => kind, kind => TokenizerFiles.Load(TokenizerFiles.WithFlamingoTokens(kind)));

    public sealed record Expected(string Text, int[] Ids, int[] WithSpecial, string Decoded, string DecodedSkipSpecial);

    /// <summary>Texts and their ids, by kind of tokenizer.</summary>
    public static IReadOnlyDictionary<string, Expected[]> Texts { get; } = JsonDocument
        .Parse(File.ReadAllBytes(RepositoryFiles.Path("tests", "reference", "tokenizers", "text.json"))).RootElement
        .Deserialize<Dictionary<string, Expected[]>>(new JsonSerializerOptions { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower })!;

    public static TheoryData<string, int> Indices =>
        [.. Texts.SelectMany(kind => Enumerable.Range(0, kind.Value.Length).Select(index => (kind.Key, index)))];

    [Fact]
    public void All_49_strings_are_there() =>
        Assert.Equal([("neox", 49), ("llama", 49)], Texts.Select(kind => (kind.Key, kind.Value.Length)));

    [Theory]
    [MemberData(nameof(Indices))]
    public void Text_becomes_the_reference_ids_and_comes_back(string kind, int index)
    {
        var (expected, tokenizer) = (Texts[kind][index], Tokenizers[kind]);
        Assert.Equal(expected.Ids, tokenizer.Encode(expected.Text));
        Assert.Equal(expected.WithSpecial, tokenizer.Beginning.Concat(tokenizer.Encode(expected.Text)));
        Assert.Equal(expected.Decoded, tokenizer.Decode(expected.Ids, skipSpecial: false));
        Assert.Equal(expected.DecodedSkipSpecial, tokenizer.Decode(expected.Ids, skipSpecial: true));
        var stream = tokenizer.Stream();
        Assert.Equal(expected.Decoded, string.Concat(expected.Ids.Select(stream.Push)) + stream.Flush());
    }

    [Theory]
    [InlineData("neox")]
    [InlineData("llama")]
    public void Merges_written_as_pairs_are_the_same_merges(string kind)
    {
        var json = TokenizerFiles.WithFlamingoTokens(kind);
        var merges = json["model"]!["merges"]!.AsArray();
        json["model"]!["merges"] = new JsonArray(
            [.. merges.Select(merge => (JsonNode)new JsonArray([.. merge!.GetValue<string>().Split(' ').Select(part => (JsonNode)part)]))]);
        var pairs = TokenizerFiles.Load(json);
        Assert.All(Texts[kind], expected => Assert.Equal(expected.Ids, pairs.Encode(expected.Text)));
    }

    [Fact]
    public void The_default_model_reads_its_golden_prompts()
    {
        var shapes = JsonTokenizer.Load(RepositoryFiles.Path("models", "shapes", "tokenizer.json"));
        using var golden = JsonDocument.Parse(
            File.ReadAllBytes(RepositoryFiles.Path("tests", "reference", "shapes", "evaluation", "golden_tensors.json")));
        Assert.NotEmpty(golden.RootElement.EnumerateArray());
        foreach (var prompt in golden.RootElement.EnumerateArray())
            Assert.Equal(
                prompt.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32()),
                shapes.Encode(prompt.GetProperty("text").GetString()!));
    }
}
