using System.Text;
using CsCheck;
using Flamingo.LanguageModel.Tokenization;

namespace Flamingo.LanguageModel.Tests.Tokenization;

public sealed class TokenStreamTests
{
    private static readonly JsonTokenizer Tokenizer = TokenizerFiles.Load(TokenizerFiles.WithFlamingoTokens());
    private static readonly JsonTokenizer Llama = TokenizerFiles.Load(TokenizerFiles.WithFlamingoTokens("llama"));

    /// <summary>Random ids: bytes that are not valid UTF-8, special tokens, and ids without a token.</summary>
    [Fact]
    public void The_parts_of_a_stream_are_the_text_of_all_ids() =>
        Gen.Int[-2, 540].List[0, 40].Sample(ids => Stream(ids).Text == Tokenizer.Decode(ids, skipSpecial: false), iter: 20_000);

    /// <summary>Mostly parts of characters, so that valid characters of several tokens occur often.</summary>
    [Fact]
    public void Valid_text_streams_without_a_replacement_character_or_half_a_pair() =>
        Gen.OneOf(
            Gen.Char['a', 'z'].Select(char.ToString), Gen.Int[0x80, 0xD7FF].Select(char.ConvertFromUtf32),
            Gen.Int[0x10000, 0x10FFFF].Select(char.ConvertFromUtf32))
            .List[0, 12].Select(string.Concat).Sample(
                text =>
                {
                    var (whole, parts) = Stream(Tokenizer.Encode(text));
                    return whole == text.Normalize(NormalizationForm.FormC)
                        && parts.All(part => part.EnumerateRunes().All(rune => rune != Rune.ReplacementChar || text.Contains('\uFFFD')));
                },
                iter: 5_000);

    /// <summary>The texts of the tokens by themselves are the bytes of the whole text, parts of characters included.</summary>
    [Theory]
    [InlineData("a\U0001F600b caf\u00E9<|endofchunk|>")]
    [InlineData("two  blanks\n")]
    public void The_bytes_of_tokens_are_those_of_the_text(string text)
    {
        foreach (var (tokenizer, lead) in new[] { (Tokenizer, ""), (Llama, " ") }) // a LLaMA normaliser puts a blank before the text
        {
            var stream = tokenizer.Stream();
            var bytes = tokenizer.Encode(text).SelectMany(id => stream.TextOf(id).ToArray());
            Assert.Equal(lead + text, Encoding.UTF8.GetString([.. bytes]));
        }

        Assert.Equal(0, Tokenizer.Stream().TextOf(-1).Length);
    }

    [Fact]
    public void A_character_of_four_tokens_comes_out_once_and_whole()
    {
        var ids = Tokenizer.Encode("a\U0001F600b");
        Assert.Equal(6, ids.Count);
        Assert.Equal(["a", "", "", "", "\U0001F600", "b", ""], Stream(ids).Parts);
    }

    [Fact]
    public void An_unfinished_character_is_replaced_at_the_end()
    {
        var ids = Tokenizer.Encode("a\U0001F600").SkipLast(1).ToList();
        Assert.Equal(["a", "", "", "", "\uFFFD"], Stream(ids).Parts);
        Assert.Equal("a\uFFFD", Tokenizer.Decode(ids, skipSpecial: false));
    }

    // 0xF0 0x9F 0x98 0x80 is one character. The id of a byte is its value plus 3; 259 is "▁a" and 482 is "a".
    [Fact]
    public void Bytes_wait_until_their_run_has_ended_and_come_out_whole() =>
        Assert.Equal(["a", "", "", "", "", "\U0001F600 a", ""], Stream([482, 0xF3, 0xA2, 0x9B, 0x83, 259], Llama).Parts);

    [Theory]
    [InlineData("\uFFFD\uFFFD\uFFFD a", 0xF3, 0xA2, 0x9B, 259)]
    [InlineData("\uFFFD\uFFFD", 0x44, 0xF3)]                   // even a byte that is a letter, if its run is not valid UTF-8
    [InlineData("Aa", 0x44, 482)]
    public void A_run_of_bytes_that_is_no_text_becomes_one_replacement_character_for_each(string text, params int[] ids)
    {
        Assert.Equal(text, Stream(ids, Llama).Text);
        Assert.Equal(text, Llama.Decode(ids, skipSpecial: false));
    }

    [Fact]
    public void Only_the_first_blank_of_an_answer_is_left_out()
    {
        Assert.Equal(["a", " a", ""], Stream([259, 259], Llama).Parts);
        Assert.Equal(["", " ", "a", ""], Stream([481, 481, 482], Llama).Parts);
        Assert.Equal(["<image>", " a", ""], Stream([542, 259], Llama).Parts);
        Assert.Equal(["", "a", ""], Stream([0x23, 482], Llama).Parts);       // the space as a byte token
    }

    [Fact]
    public void The_parts_of_a_stream_of_pieces_are_the_text_of_all_ids() =>
        Gen.Int[-2, 550].List[0, 40].Sample(
            ids =>
            {
                var (text, parts) = Stream(ids, Llama);
                return text == Llama.Decode(ids, skipSpecial: false)
                    && parts.All(part => part.Length == 0 || !char.IsLowSurrogate(part[0]) && !char.IsHighSurrogate(part[^1]));
            },
            iter: 20_000);

    private static (string Text, IReadOnlyList<string> Parts) Stream(IReadOnlyList<int> ids, JsonTokenizer? tokenizer = null)
    {
        var stream = (tokenizer ?? Tokenizer).Stream();
        List<string> parts = [.. ids.Select(stream.Push), stream.Flush()];
        return (string.Concat(parts), parts);
    }
}
