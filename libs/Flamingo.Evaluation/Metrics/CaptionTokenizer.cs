namespace Flamingo.Evaluation.Metrics;

/// <summary>
/// Splits captions into the words that CIDEr counts, as pycocoevalcap does with version 3.4.1 of Stanford's Penn Treebank tokenizer:
/// clitics are split (<c>isn't</c> → <c>is n't</c>), brackets become <c>-lrb-</c> and <c>-rrb-</c>, abbreviations keep their periods,
/// everything is lower case, and punctuation is dropped. Spellings stay British or American as they are, and slashes stay as they are.
/// </summary>
/// <remarks>
/// The tokenizer reads all captions as the lines of one file, so the line that follows decides how some lines end: <c>vitamin c.</c> ends
/// with <c>c</c> before a line that begins with <c>The</c>, and with <c>c.</c> before others. Line ends within a caption count as spaces.
/// </remarks>
public static class CaptionTokenizer
{
    // What pycocoevalcap drops. Its list has brackets in capitals, which no lower-case word equals, so brackets stay.
    private static readonly HashSet<string> Dropped = new(StringComparer.Ordinal)
        { "''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";" };

    private static readonly char[] LineEnds = ['\r', '\n', '\v', '\f', '\u0085', '\u2028', '\u2029'];

    /// <summary>Splits a caption that stands alone.</summary>
    /// <returns>The words in order, without white space.</returns>
    public static IReadOnlyList<string> Split(string caption) => SplitAll([caption])[0];

    /// <summary>Splits the captions of one run, in the order in which the original writes them to its file.</summary>
    /// <returns>The words of each caption in order, without white space.</returns>
    public static IReadOnlyList<IReadOnlyList<string>> SplitAll(IReadOnlyList<string> captions)
    {
        var text = string.Join('\n', captions.Select(caption => string.Join(' ', caption.Split(LineEnds))));
        var (lines, line) = (new List<IReadOnlyList<string>>(captions.Count), new List<string>());
        for (var at = 0; at < text.Length;)
        {
            if (text[at] == '\n')
            {
                lines.Add(line);
                line = [];
                at++;
                continue;
            }

            var (length, token) = PlainWord(text, at) is var plain and > 0 ? (plain, text.Substring(at, plain)) : Longest(text, at);
            at += length;
            token = token.ToLowerInvariant();
            if (Dropped.Contains(token)) continue;

            // a phone number may have a space, and CIDEr counts its parts
            line.AddRange(token.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
        }

        if (captions.Count > 0) lines.Add(line);
        return lines;
    }

    /// <summary>
    /// The length of a word of ASCII letters that a space, a line end or the end follows, for which no rule but the plain one matters; 0
    /// for all else. Nearly all words of captions are such, and the rules cost much more.
    /// </summary>
    private static int PlainWord(string text, int at)
    {
        var end = at;
        while (end < text.Length && char.IsAsciiLetter(text[end])) end++;
        if (end == at || (end < text.Length && text[end] is not (' ' or '\n'))) return 0;
        return CaptionRules.IsAssimilated(text.AsSpan(at, end - at)) ? 0 : end - at;
    }

    // The longest token wins, and among equally long ones the first rule; what a rule looks ahead to counts as length.
    private static (int Length, string Token) Longest(string text, int at)
    {
        var (longest, taken, kind) = (0, 1, TokenKind.Nothing);
        foreach (var rule in CaptionRules.All)
        {
            var match = rule.Pattern.Match(text, at);
            var reach = match.Success ? match.Length + match.Groups[CaptionRules.Then].Length : 0;
            if (reach > longest) (longest, taken, kind) = (reach, match.Length, rule.Kind);
        }

        return (taken, CaptionRules.Token(kind, text.AsSpan(at, taken)));
    }
}
