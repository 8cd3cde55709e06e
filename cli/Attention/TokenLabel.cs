using System.Globalization;
using System.Text;
using Flamingo.Abstractions;

namespace Flamingo.Cli.Attention;

/// <summary>What a panel of the attention sheet says about its token.</summary>
/// <param name="IsSeen">
/// Whether the text is the token's own, as a reader of the answer sees it. It is false for a description of a token without visible text.
/// </param>
public sealed record TokenLabel(string Text, bool IsSeen)
{
    private const int MostSigns = 4; // of the same white space, before they are counted

    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>The labels of an answer's tokens, one per id.</summary>
    /// <param name="model">The language model of the answer, which names the special tokens.</param>
    public static IReadOnlyList<TokenLabel> Of(AnswerSample sample, LanguageModelDescription model)
    {
        var special = model.SpecialTokens.Concat(model.PictureMarkers).Append(model.EndOfChunkToken).ToHashSet(StringComparer.Ordinal);
        return
        [
            .. from part in sample.Parts
               from id in part.Ids.Index()
               let texts = part.LogProbabilities.ElementAtOrDefault(id.Index)?.Texts
               select texts?.Count > 0 ? Of(texts[0].Span, special)
                   // A service that reports no texts of tokens sends one text for all tokens of an event.
                   : id.Index == 0 && part.Text.Length > 0 ? Of(Encoding.UTF8.GetBytes(part.Text), special)
                   : new TokenLabel($"#{id.Item}", IsSeen: false),
        ];
    }

    /// <param name="bytes">The token's text in UTF-8. It may be a part of a character.</param>
    /// <param name="special">Texts of special tokens.</param>
    public static TokenLabel Of(ReadOnlySpan<byte> bytes, IReadOnlySet<string> special)
    {
        string text;
        try
        {
            text = Strict.GetString(bytes);
        }
        catch (DecoderFallbackException)
        {
            return new($"bytes {string.Join(' ', bytes.ToArray().Select(one => one.ToString("X2", CultureInfo.InvariantCulture)))}", false);
        }

        if (text.Length == 0) return new("no text", false);
        if (special.Contains(text)) return new(text, false);
        if (string.IsNullOrWhiteSpace(text)) return new(Signs(text), false);
        // Nearly every word begins with a space, so it is not shown.
        return new(string.Concat((text[0] == ' ' ? text[1..] : text).EnumerateRunes().Select(Visible)), true);
    }

    // For example "␣ × 12" or "↵↵".
    private static string Signs(string white)
    {
        var signs = new List<string>();
        for (var start = 0; start < white.Length;)
        {
            var end = start;
            while (end < white.Length && white[end] == white[start]) end++;
            var (sign, count) = (Sign(white[start]), end - start);
            signs.Add(count > MostSigns ? $"{sign} × {count}" : string.Concat(Enumerable.Repeat(sign, count)));
            start = end;
        }

        return string.Join(signs.Any(sign => sign.Contains('×', StringComparison.Ordinal)) ? " " : "", signs);
    }

    private static string Sign(char white) => white switch
    {
        ' ' => "␣",
        '\n' => "↵",
        '\t' => "⇥",
        _ => Named(white),
    };

    private static string Visible(Rune rune) => rune.Value switch
    {
        ' ' => " ",
        '\n' or '\t' => Sign((char)rune.Value),
        _ when Rune.IsWhiteSpace(rune) || Rune.GetUnicodeCategory(rune) is UnicodeCategory.Control or UnicodeCategory.Format
            or UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned => Named(rune.Value),
        _ => rune.ToString(),
    };

    /// <returns>The name of a character that cannot be shown, for example "U+200B".</returns>
    internal static string Named(int character) => $"U+{character:X4}";
}
