using System.Text;
using Flamingo.Cli.Attention;

namespace Flamingo.Cli.Tests.Attention;

/// <summary>Tests the words for tokens, above all for those without visible text.</summary>
public sealed class TokenLabelTests
{
    private static readonly HashSet<string> Special = ["<|endofchunk|>"];

    [Theory]
    [InlineData(" cat", "cat", true)]
    [InlineData("ing", "ing", true)]
    [InlineData("  indented", " indented", true)] // the first space only
    [InlineData("a\nb\tc", "a↵b⇥c", true)]
    [InlineData(" кошка", "кошка", true)]
    [InlineData("zero\u200Bwidth", "zeroU+200Bwidth", true)]
    [InlineData(" ", "␣", false)]
    [InlineData("\n\n", "↵↵", false)]
    [InlineData("\t ", "⇥␣", false)]
    [InlineData("            ", "␣ × 12", false)]
    [InlineData("\n        ", "↵ ␣ × 8", false)]
    [InlineData("\u00A0", "U+00A0", false)]
    [InlineData("<|endofchunk|>", "<|endofchunk|>", false)]
    [InlineData(" <|endofchunk|>", "<|endofchunk|>", true)] // a text that only looks like the special token
    [InlineData("", "no text", false)]
    public void Every_token_has_words_that_can_be_seen(string text, string words, bool isSeen) =>
        Assert.Equal(new TokenLabel(words, isSeen), TokenLabel.Of(Encoding.UTF8.GetBytes(text), Special));

    [Fact]
    public void A_part_of_a_character_is_told_by_its_bytes() =>
        Assert.Equal(new TokenLabel("bytes E4 B8", IsSeen: false), TokenLabel.Of("中"u8[..2], Special));
}
