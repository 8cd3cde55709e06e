using System.Text;
using CsCheck;
using Flamingo.LanguageModel.Tokenization;

namespace Flamingo.LanguageModel.Tests.Tokenization;

public sealed class TokenStreamTests
{
    private static readonly JsonTokenizer Tokenizer = TokenizerFiles.Load(TokenizerFiles.WithFlamingoTokens());

    /// <summary>Any ids: bytes that are no UTF-8, special tokens, ids that no token has.</summary>
    [Fact]
    public void The_parts_of_a_stream_are_the_text_of_all_ids() =>
        Gen.Int[-2, 540].List[0, 40].Sample(ids => Stream(ids).Text == Tokenizer.Decode(ids, skipSpecial: false), iter: 20_000);

    /// <summary>Mostly pieces of characters, so that valid ones of several tokens come up often.</summary>
    [Fact]
    public void Valid_text_streams_without_a_replacement_character_or_half_a_pair() =>
        Gen.OneOf(Gen.Char['a', 'z'].Select(char.ToString), Gen.Int[0x80, 0xD7FF].Select(char.ConvertFromUtf32), Gen.Int[0x10000, 0x10FFFF].Select(char.ConvertFromUtf32))
            .List[0, 12].Select(string.Concat).Sample(
                text =>
                {
                    var (whole, parts) = Stream(Tokenizer.Encode(text));
                    return whole == text.Normalize(NormalizationForm.FormC) && parts.All(part => part.EnumerateRunes().All(rune => rune != Rune.ReplacementChar || text.Contains('\uFFFD')));
                },
                iter: 5_000);

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

    private static (string Text, IReadOnlyList<string> Parts) Stream(IReadOnlyList<int> ids)
    {
        var stream = Tokenizer.Stream();
        List<string> parts = [.. ids.Select(stream.Push), stream.Flush()];
        return (string.Concat(parts), parts);
    }
}
