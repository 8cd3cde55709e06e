using System.Buffers;
using System.Globalization;
using System.Text;

namespace Flamingo.LanguageModel.Tokenization;

/// <summary>
/// Splits text into the pieces of GPT-2, which are merged separately:
/// <c>'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+</c>.
/// It does not use a regular expression, because .NET's treat a letter above U+FFFF as two surrogates, which are not letters, and
/// because the time of the look-ahead need not be linear.
/// </summary>
public static class Gpt2Pieces
{
    private static readonly string[] Contractions = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];

    private enum Kind
    {
        End,
        Space,
        Letter,
        Number,
        Other,
    }

    /// <summary>Length of the first piece of a text that is not empty, in UTF-16 units.</summary>
    public static int NextLength(ReadOnlySpan<char> text)
    {
        if (text[0] == '\'')
        {
            foreach (var contraction in Contractions)
                if (text.StartsWith(contraction, StringComparison.Ordinal)) return contraction.Length;
        }

        var blank = text[0] == ' ' ? 1 : 0;
        var kind = KindAt(text[blank..], out _);
        if (kind is Kind.Letter or Kind.Number or Kind.Other) return blank + RunLength(text[blank..], kind);

        // A run of white space is one piece at the end of the text. Otherwise its last character belongs to the next piece.
        var run = RunLength(text, Kind.Space);
        return run == text.Length || run == 1 ? run : run - 1;
    }

    private static int RunLength(ReadOnlySpan<char> text, Kind kind)
    {
        var length = 0;
        while (KindAt(text[length..], out var width) == kind) length += width;
        return length;
    }

    private static Kind KindAt(ReadOnlySpan<char> text, out int width)
    {
        width = 0;
        if (text.IsEmpty) return Kind.End;
        if (Rune.DecodeFromUtf16(text, out var rune, out width) != OperationStatus.Done) return Kind.Other;
        if (Rune.IsWhiteSpace(rune)) return Kind.Space;
        return Rune.GetUnicodeCategory(rune) switch
        {
            UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter
                or UnicodeCategory.ModifierLetter or UnicodeCategory.OtherLetter => Kind.Letter,
            UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber => Kind.Number,
            _ => Kind.Other,
        };
    }
}
