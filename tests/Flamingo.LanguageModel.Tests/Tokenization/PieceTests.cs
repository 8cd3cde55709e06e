using System.Text.RegularExpressions;
using CsCheck;
using Flamingo.LanguageModel.Tokenization;
using Microsoft.ML.Tokenizers;

namespace Flamingo.LanguageModel.Tests.Tokenization;

public sealed partial class PieceTests
{
    private static readonly TokenizerFile Reference = TokenizerFile.Read(TokenizerFiles.ReferencePath);

    [GeneratedRegex(@"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")]
    private static partial Regex Gpt2();

    /// <summary>Texts below U+10000, for which the .NET regular expression is equivalent.</summary>
    [Fact]
    public void Pieces_are_those_of_the_expression() =>
        Gen.OneOf(Gen.Char["   \n\t\u00A0\u0085'''stremvdlLS09.,!_\u00E9\u00BD\u2167\u0301\u200D\u4E00"], Gen.Char['\u0000', '\uD7FF'])
            .Array[0, 24].Select(characters => new string(characters))
            .Sample(text => Pieces(text).SequenceEqual(Gpt2().Matches(text).Select(match => match.Value)), iter: 30_000);

    [Fact]
    public void Letters_and_numbers_beyond_the_first_plane_are_letters_and_numbers() =>
        Assert.Equal(
            ["a\U0001D400b", " \U00020000", "\U0001D7CE1", "\U0001F600!"], Pieces("a\U0001D400b \U00020000\U0001D7CE1\U0001F600!"));

    /// <summary>Compares the merging of long pieces with that of Microsoft.ML.Tokenizers.</summary>
    [Fact]
    public void Long_and_short_pieces_are_merged_alike()
    {
        var table = new MergeTable(Reference.Vocabulary, Reference.Merges);
        var library = BpeTokenizer.Create(
            new BpeOptions(Reference.Vocabulary)
            {
                Merges = Reference.Merges.Select(merge => $"{merge.Left} {merge.Right}"), ByteLevel = true
            });
        Gen.Char[" aaeeiinnrrssttoolhcdugqx\u00E9\u4E00"].Array[1, 200].Select(characters => new string(characters)).Sample(
            piece =>
            {
                var ids = new List<int>();
                table.Encode(piece, ids);
                return ids.SequenceEqual(library.EncodeToIds(piece, considerPreTokenization: false, considerNormalization: false));
            },
            iter: 10_000);
    }

    /// <summary>
    /// The test counts work instead of measuring time: the number of examined pairs grows with the length, not with its square.
    /// </summary>
    [Theory]
    [InlineData("s")]
    [InlineData("is")]
    [InlineData("square")]
    public void A_piece_without_end_costs_work_in_proportion(string repeated)
    {
        var text = string.Concat(Enumerable.Repeat(repeated, 100_000 / repeated.Length));
        var ids = new List<int>();
        Assert.InRange(new MergeTable(Reference.Vocabulary, Reference.Merges).Encode(text, ids), 0, 3 * text.Length);
        Assert.Equal(ids, TokenizerFiles.Load(TokenizerFiles.Reference()).Encode(text));
    }

    private static List<string> Pieces(string text)
    {
        var pieces = new List<string>();
        for (var rest = text.AsSpan(); !rest.IsEmpty; rest = rest[pieces[^1].Length..])
            pieces.Add(rest[..Gpt2Pieces.NextLength(rest)].ToString());
        return pieces;
    }
}
