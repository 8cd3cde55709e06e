namespace Flamingo.LanguageModel.Tests.Tokenization;

public sealed class AddedTokenTests
{
    private const int Next = 532;

    [Fact]
    public void The_longest_of_several_tokens_at_one_place_wins()
    {
        var json = TokenizerFiles.Reference();
        TokenizerFiles.Add(json, Next, "<i", special: true, normalized: false);
        TokenizerFiles.Add(json, Next + 1, "<image>", special: true, normalized: false);
        TokenizerFiles.Add(json, Next + 2, "mage>!", special: true, normalized: false);
        var tokenizer = TokenizerFiles.Load(json);
        Assert.Equal([Next + 1, 2], tokenizer.Encode("<image>!"));
        Assert.Equal([Next, .. tokenizer.Encode("mag")], tokenizer.Encode("<imag"));
        Assert.Equal([Next + 2], tokenizer.Encode("mage>!"));
    }

    [Fact]
    public void Only_normalized_tokens_are_found_after_normalising()
    {
        var json = TokenizerFiles.Reference();
        TokenizerFiles.Add(json, Next, "caf\u00E9", special: false, normalized: true);
        TokenizerFiles.Add(json, Next + 1, "th\u00E9", special: false, normalized: false);
        var tokenizer = TokenizerFiles.Load(json);
        Assert.Equal([Next], tokenizer.Encode("cafe\u0301"));
        Assert.Equal([Next + 1], tokenizer.Encode("th\u00E9"));
        Assert.DoesNotContain(Next + 1, tokenizer.Encode("the\u0301"));
    }

    [Fact]
    public void A_normalized_token_is_itself_normalised()
    {
        var json = TokenizerFiles.Reference();
        TokenizerFiles.Add(json, Next, "cafe\u0301", special: false, normalized: true);
        Assert.Equal([Next], TokenizerFiles.Load(json).Encode("caf\u00E9"));
    }

    [Fact]
    public void Stripping_tokens_take_the_white_space_beside_them()
    {
        var json = TokenizerFiles.Reference();
        TokenizerFiles.Add(json, Next, "<left>", special: true, normalized: false, lstrip: true);
        TokenizerFiles.Add(json, Next + 1, "<right>", special: true, normalized: false, rstrip: true);
        var tokenizer = TokenizerFiles.Load(json);
        Assert.Equal([66, Next, .. tokenizer.Encode(" a")], tokenizer.Encode("a \t<left> a"));
        Assert.Equal([.. tokenizer.Encode("a "), Next + 1, 66], tokenizer.Encode("a <right> \na"));
        Assert.Equal([Next + 1, Next], tokenizer.Encode("<right>  <left>"));
    }

    [Fact]
    public void A_prefix_space_goes_before_each_stretch_of_text_that_has_none()
    {
        var json = TokenizerFiles.WithFlamingoTokens();
        var plain = TokenizerFiles.Load(json);
        json["pre_tokenizer"]!["add_prefix_space"] = true;
        var prefixed = TokenizerFiles.Load(json);
        Assert.Equal(plain.Encode(" a<image> a"), prefixed.Encode("a<image>a"));
        Assert.Equal(plain.Encode(" a"), prefixed.Encode(" a"));
        Assert.Empty(prefixed.Encode(""));
    }

    [Fact]
    public void Without_the_expression_words_merge_across_blanks()
    {
        var json = TokenizerFiles.Reference();
        json["model"]!["vocab"]!.AsObject()["a\u0120"] = Next;
        json["model"]!["merges"]!.AsArray().Insert(0, "a \u0120");
        Assert.DoesNotContain(Next, TokenizerFiles.Load(json).Encode("a b"));
        json["pre_tokenizer"]!["use_regex"] = false;
        Assert.Contains(Next, TokenizerFiles.Load(json).Encode("a b"));
    }
}
