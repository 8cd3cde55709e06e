using CsCheck;
using Flamingo.LanguageModel.Tokenization;

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

    /// <summary>As in Hugging Face, the search continues after the token and not after the white space that the token includes.</summary>
    [Fact]
    public void A_token_may_begin_in_white_space_that_another_includes()
    {
        var json = TokenizerFiles.Reference();
        TokenizerFiles.Add(json, Next, "<right>", special: true, normalized: false, rstrip: true);
        TokenizerFiles.Add(json, Next + 1, " <b>", special: true, normalized: false);
        Assert.Equal([Next, Next + 1, 66], TokenizerFiles.Load(json).Encode("<right>  <b>a"));
        TokenizerFiles.Add(json, Next + 2, "\t\t", special: true, normalized: false);
        var tokenizer = TokenizerFiles.Load(json);
        Assert.Equal([Next, Next + 2, .. tokenizer.Encode("\n"), 66], tokenizer.Encode("<right> \t\t\na"));
    }

    /// <summary>Random tokens of two letters in random texts, compared with a search for every token at every position.</summary>
    [Fact]
    public void Found_is_what_a_plain_search_finds() =>
        Gen.Select(
            Gen.Char["ab"].Array[1, 5].Select(letters => new string(letters)).Array[0, 8],
            Gen.Char["aabc"].Array[0, 60].Select(letters => new string(letters)))
            .Sample((contents, text) =>
        {
            AddedToken[] tokens = [.. contents.Distinct().Select((content, id) => new AddedToken(id, content, false, false, false, false))];
            var expected = Enumerable.Range(0, text.Length)
                .Select(
                    at =>
                        (
                            At: at,
                            Token: tokens.Where(token => text.AsSpan(at).StartsWith(token.Content)).MaxBy(token => token.Content.Length)))
                .Where(place => place.Token is not null);
            return new AddedTokenFinder(tokens.Select(token => (token.Content, token)))
                .Beginnings(text, out _)
                .Select(found => (found.Start, (AddedToken?)found.Token))
                .SequenceEqual(expected);
        }, iter: 20_000);

    /// <summary>
    /// The test counts work instead of measuring time. In such a text an almost complete long token occurs at every position.
    /// </summary>
    [Fact]
    public void Long_tokens_and_many_cost_at_most_two_lookups_for_a_letter()
    {
        var tokens = Enumerable.Range(1, 1000)
            .Select(length => $"{new string('a', length)}b")
            .Append($"c{new string('a', 1000)}")
            .Select((content, id) => (content, new AddedToken(id, content, false, false, false, false)));
        var finder = new AddedTokenFinder(tokens);
        foreach (
            var text in (string[])[
                new('a', 100_000), string.Concat(Enumerable.Repeat($"{new string('a', 999)}c", 100)), string
                    .Concat(Enumerable.Repeat("ab", 50_000))
            ])
        {
            finder.Beginnings(text, out var looked);
            Assert.InRange(looked, text.Length, 2 * text.Length);
        }
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
