using System.Text.Json.Nodes;
using CsCheck;
using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Tokenization;
using Flamingo.Testing;
using Microsoft.ML.Tokenizers;

namespace Flamingo.LanguageModel.Tests.Tokenization;

/// <summary>Tests SentencePiece BPE with byte fallback, compared with Microsoft.ML.Tokenizers, which reads tokenizer.model.</summary>
public sealed class SentencePieceTests
{
    private static readonly JsonTokenizer Llama = TokenizerFiles.Load(TokenizerFiles.Reference("llama"));

    // Of equal merges that overlap, as in "lll", the library takes the last, but SentencePiece and Hugging Face take the first.
    // This is another reason for MergeTable.
    [Fact]
    public void Random_texts_become_the_ids_of_the_library()
    {
        using var file = File.OpenRead(RepositoryFiles.Path("tests", "reference", "tokenizers", "llama", "tokenizer.model"));
        var library = LlamaTokenizer.Create(file, addBeginOfSentence: false, addEndOfSentence: false);
        Gen.Char["   aaeeiinnrrssttoolhcdugqxAZ09.,\n\u00E9\u00F6\u4E00\u0416"].Array[1, 120]
            .Select(characters => new string(characters))
            .Where(text => !text.Where((character, at) => at > 1 && character == text[at - 1] && character == text[at - 2]).Any())
            .Sample(
            text =>
                Llama.Encode(text)
                    .SequenceEqual(library.EncodeToIds(text, considerPreTokenization: true, considerNormalization: true)), iter: 5_000);
    }

    [Fact]
    public void Of_equal_merges_the_first_comes_first() =>
        Assert.Equal(
            ["\u2581", "ll", "l"],
            Llama.Encode("lll")
                .Select(
                    id =>
                        TokenizerFiles.Reference("llama")["model"]!["vocab"]!.AsObject()
                            .Single(token => token.Value!.GetValue<int>() == id).Key));

    [Fact]
    public void A_long_text_without_a_blank_is_read_in_one_piece() =>
        Assert.Equal(100_002, Llama.Encode(string.Concat(Enumerable.Repeat("xq", 50_000)) + "\u0416").Count - 1);

    [Fact]
    public void Idefics_tokenizer_reads_its_golden_prompts()
    {
        var tokenizer = JsonTokenizer.Load(RepositoryFiles.Path("tests", "reference", "families", "idefics", "tokenizer.json"));
        var prompts = Golden.Prompts("idefics");
        Assert.Equal(5, prompts.Count);
        foreach (var prompt in prompts)
            Assert.Equal(
                Golden.Ids(prompt.GetProperty("ids")),
                tokenizer.Beginning.Concat(tokenizer.Encode(prompt.GetProperty("text").GetString()!)));
    }

    /// <summary>
    /// A continuation that begins with a space has the ids that it has in the whole text. After a marker a new stretch of text
    /// begins, which gets one more space.
    /// </summary>
    [Theory]
    [InlineData("Assistant:", " dog")]
    [InlineData("Assistant:", " ")]
    [InlineData("Assistant:", " large red<image> circle")]
    [InlineData("a", "  two  stars ")]
    [InlineData("a ", " star")]
    [InlineData("<image>", " dog")]
    [InlineData("Output:a<|endofchunk|>", " large red")]
    public void A_continuation_with_a_blank_has_the_ids_of_the_whole_text(string before, string text)
    {
        var tokenizer = TokenizerFiles.Load(TokenizerFiles.WithFlamingoTokens("llama"));
        var prompt = tokenizer.Encode(before);
        Assert.Equal(tokenizer.Encode(before + text), prompt.Concat(tokenizer.EncodeBehind(prompt[^1], text)));
    }

    [Fact]
    public void A_continuation_without_a_blank_has_the_ids_that_it_has_alone()
    {
        var tokenizer = TokenizerFiles.Load(TokenizerFiles.WithFlamingoTokens("llama"));
        foreach (var text in new[] { "dog", "a large red circle", "<|endofchunk|> a" }) Assert.Equal(tokenizer.Encode(text),
            tokenizer.EncodeBehind(tokenizer.Encode("a:")[^1], text));
        Assert.Equal([481, 259], tokenizer.Encode(" a")); // the space that is put before every text, and the space of the text itself
        Assert.Equal([259], tokenizer.EncodeBehind(tokenizer.Encode("a:")[^1], " a"));
    }

    /// <summary>A token that includes the white space after it does so in a continuation as in the whole text.</summary>
    [Fact]
    public void A_marker_that_strips_takes_the_blank_of_a_continuation()
    {
        var json = TokenizerFiles.WithFlamingoTokens("llama");
        TokenizerFiles.Add(json, 544, "<end>", special: true, normalized: false, rstrip: true);
        var tokenizer = TokenizerFiles.Load(json);
        Assert.Equal(tokenizer.Encode("a<end> dog").Skip(tokenizer.Encode("a<end>").Count), tokenizer.EncodeBehind(544, " dog"));
    }

    [Theory]
    [InlineData("pre_tokenizer", """{"type": "Whitespace"}""", "Whitespace")]
    [InlineData("normalizer", "null", "[]")]
    [InlineData(
        "normalizer",
        """
        {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "_"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}
        """,
        "Prepend, Replace")]
    [InlineData("normalizer", """{"type": "Replace", "pattern": {"Regex": " "}, "content": "▁"}""", "[Replace]")]
    [InlineData("decoder", """{"type": "ByteLevel"}""", "[ByteLevel]")]
    [InlineData(
        "decoder",
        """
        {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 2, "stop": 0}]}
        """,
        "Strip")]
    public void Other_settings_are_named(string part, string value, string named)
    {
        var json = TokenizerFiles.Reference("llama");
        json[part] = JsonNode.Parse(value);
        Assert.Contains(named, Assert.Throws<CheckpointException>(() => TokenizerFiles.Load(json)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_vocabulary_without_a_byte_is_refused()
    {
        var json = TokenizerFiles.Reference("llama");
        json["model"]!["vocab"]!.AsObject().Remove("<0x41>");
        Assert.Contains("0x41", Assert.Throws<CheckpointException>(() => TokenizerFiles.Load(json)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_prepend_and_strip_text_is_taken_as_it_stands()
    {
        var json = TokenizerFiles.Reference("llama");
        json["normalizer"] = JsonNode.Parse("""{"type": "Replace", "pattern": {"String": " "}, "content": "▁"}""");
        json["decoder"]!["decoders"]!.AsArray().RemoveAt(3);
        var tokenizer = TokenizerFiles.Load(json);
        Assert.Equal([482], tokenizer.Encode("a"));
        Assert.Equal([259], tokenizer.Encode(" a"));
        Assert.Equal(" a", tokenizer.Decode([259], skipSpecial: false));
    }
}
