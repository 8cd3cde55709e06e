using System.Text.RegularExpressions;

namespace Flamingo.Evaluation.Metrics;

/// <summary>
/// Splits captions into the words that CIDEr counts, as pycocoevalcap does with Stanford's Penn Treebank tokenizer: clitics are split
/// (<c>isn't</c> → <c>is n't</c>), brackets become <c>-lrb-</c> and <c>-rrb-</c>, abbreviations keep their periods, British spellings
/// become American, everything is lower case, and punctuation is dropped.
/// </summary>
/// <remarks>
/// The rules are those that English captions meet. Addresses of mail and web, phone numbers and smileys are kept whole in simple forms; the
/// original's special cases for newspapers (company names, legal sections) are left out.
/// </remarks>
public static partial class CaptionTokenizer
{
    // What pycocoevalcap drops. Brackets are not among them in lower case, so they stay.
    private static readonly HashSet<string> Dropped = new(StringComparer.Ordinal)
        { "''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";" };

    /// <returns>The words in order, without white space.</returns>
    public static IReadOnlyList<string> Split(string caption)
    {
        var words = new List<string>();
        var text = caption.ReplaceLineEndings(" ");
        for (var at = 0; at < text.Length;)
        {
            var (length, token) = Longest(text, at);
            at += length;
            token = token.ToLowerInvariant();
            if (token.Length > 0 && !Dropped.Contains(token)) words.Add(token);
        }

        return words;
    }

    // The longest token at a position wins, and among equally long ones the first rule; what the rule looks ahead to counts as length.
    private static (int Length, string Token) Longest(string text, int at)
    {
        var (longest, taken, kind) = (0, 1, Kind.Nothing);
        foreach (var (rule, itsKind) in Rules)
        {
            var match = rule.Match(text, at);
            var reach = match.Success ? match.Length + match.Groups["then"].Length : 0;
            if (reach > longest) (longest, taken, kind) = (reach, match.Length, itsKind);
        }

        var token = text.Substring(at, taken);
        return (taken, kind switch
        {
            Kind.Nothing => "",
            Kind.Word => AmericanSpelling.Of(token),
            Kind.Slashed => token.Replace("/", @"\/", StringComparison.Ordinal),
            Kind.Bracketed => Brackets(token),
            Kind.Quote => token.Length == 2 || token[0] is '"' or '“' or '”' or '«' or '»' ? "''" : "'",
            Kind.Apostrophe => token.Replace('’', '\'').Replace('‘', '\'').Replace('`', '\''),
            Kind.Dashes => "--",
            Kind.Dots => "...",
            Kind.Fraction => token switch { "½" => @"1\/2", "¼" => @"1\/4", "¾" => @"3\/4", "⅓" => @"1\/3", _ => @"2\/3" },
            _ => token,
        });
    }

    private static string Brackets(string token) => token.Replace("(", "-LRB-", StringComparison.Ordinal)
        .Replace(")", "-RRB-", StringComparison.Ordinal).Replace("[", "-LSB-", StringComparison.Ordinal)
        .Replace("]", "-RSB-", StringComparison.Ordinal).Replace("{", "-LCB-", StringComparison.Ordinal)
        .Replace("}", "-RCB-", StringComparison.Ordinal);

    private enum Kind { Nothing, Plain, Word, Slashed, Bracketed, Quote, Apostrophe, Dashes, Dots, Fraction }

    private const RegexOptions Options = RegexOptions.IgnoreCase | RegexOptions.CultureInvariant;
    private const string Word = @"[\p{L}\p{M}][\p{L}\p{M}\p{N}]*(?:[.!?][\p{L}\p{M}][\p{L}\p{M}\p{N}]*)*";
    private const string Clitic = @"['’](?:m|s|d|re|ve|ll|em)(?![\p{L}])";
    private const string Number = @"[0-9]+(?:[:,.\-][0-9]+)*|\.[0-9]+(?:[:,.][0-9]+)*";

    private const string Abbreviations =
        "Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec|Mon|Tues?|Wed|Thu|Thurs|Fri|Inc|Cos?|Corp|Ltd|Jr|Sr|Bros|Ph\\.D|etc|al|est|ext|sq|"
        + "Mr|Mrs|Ms|Drs?|Profs?|Lt|Col|Gen|Govs?|Rev|Maj|Sgt|Capt|St|Ste|Ave|Pres|Mt|Ft|Dept|Blvd|Rd|vs|v|No|fig|approx";

    private static readonly (Regex Rule, Kind Kind)[] Rules =
    [
        (WhiteSpace(), Kind.Nothing), (Tag(), Kind.Nothing),
        (Cannot(), Kind.Plain), (Gonna(), Kind.Plain),
        (WordBeforeClitic(), Kind.Word), (WordBeforeNot(), Kind.Plain), (PlainWord(), Kind.Word),
        (ApostropheWord(), Kind.Apostrophe), (CliticAlone(), Kind.Apostrophe), (NotAlone(), Kind.Apostrophe),
        (Address(), Kind.Slashed), (Mail(), Kind.Plain), (Hashtag(), Kind.Plain),
        (Abbreviation(), Kind.Plain), (Acronym(), Kind.Plain), (CompanyAnd(), Kind.Plain),
        (SignedNumber(), Kind.Plain), (FractionOrDate(), Kind.Slashed), (FractionSign(), Kind.Fraction),
        (Hyphenated(), Kind.Plain), (Alternatives(), Kind.Slashed), (DigitsAndLetters(), Kind.Plain),
        (Smiley(), Kind.Bracketed), (Bracket(), Kind.Bracketed), (LongDash(), Kind.Dashes), (Dots(), Kind.Dots),
        (SpacedDots(), Kind.Dots), (Quotes(), Kind.Quote), (QuestionAndExclamation(), Kind.Plain), (Repeated(), Kind.Plain),
        (Symbol(), Kind.Plain),
    ];

    [GeneratedRegex(@"\G\s+", Options)] private static partial Regex WhiteSpace();

    [GeneratedRegex(@"\G</?[a-z!][^>\r\n]*>", Options)] private static partial Regex Tag();

    [GeneratedRegex(@"\Gcan(?=(?<then>not))", Options)] private static partial Regex Cannot();

    [GeneratedRegex(@"\G(?:gon|got|lem|gim|wan)(?=(?<then>na|ta|me)(?!\p{L}))(?<=gon(?=na)|got(?=ta)|lem(?=me)|gim(?=me)|wan(?=na))",
        Options)]
    private static partial Regex Gonna();

    [GeneratedRegex($@"\G{Word}(?=(?<then>{Clitic}))", Options)] private static partial Regex WordBeforeClitic();

    [GeneratedRegex(@"\G\p{L}*[a-mo-z](?=(?<then>n['’]t(?!\p{L})))", Options)] private static partial Regex WordBeforeNot();

    [GeneratedRegex($@"\G{Word}", Options)] private static partial Regex PlainWord();

    [GeneratedRegex(@"\G(?:[a-hj-xz]['’]\p{L}{2,}|\p{L}+[aeiouy]['’][aeiou]\p{L}*|['’]n['’]?"
        + @"|['’](?:em|till?|cause|twas|tis|[2-9]0s)|c['’]mon|ev['’]ry|li['’]l|ol['’])(?!\p{L})|\Gy['’](?=\p{L})", Options)]
    private static partial Regex ApostropheWord();

    [GeneratedRegex($@"\G{Clitic}", Options)] private static partial Regex CliticAlone();

    [GeneratedRegex(@"\Gn['’]t(?!\p{L})", Options)] private static partial Regex NotAlone();

    [GeneratedRegex(@"\G(?:(?:https?|ftp)://[^\s<>""'()]+[^\s<>""'().,;:!?]|www\.(?:[^\s./,]+\.)+[a-z]{2,4}"
        + @"|(?:[^\s./,$:]+\.)+(?:com|net|org|edu)(?!\p{L}))", Options)]
    private static partial Regex Address();

    [GeneratedRegex(@"\G[a-z0-9._%+-]+@[a-z0-9][a-z0-9.-]*[a-z0-9]", Options)] private static partial Regex Mail();

    [GeneratedRegex(@"\G(?:@[a-z_][a-z_0-9]*|#\p{L}[\p{L}\p{N}_]*)", Options)] private static partial Regex Hashtag();

    [GeneratedRegex($@"\G(?:{Abbreviations})\.", Options)] private static partial Regex Abbreviation();

    [GeneratedRegex(@"\G[a-z](?:\.[a-z])*\.", Options)] private static partial Regex Acronym();

    [GeneratedRegex(@"\G[A-Z]+(?:[+&][A-Z]+)+", RegexOptions.CultureInvariant)] private static partial Regex CompanyAnd();

    [GeneratedRegex($@"\G[-+]?(?:{Number})", Options)] private static partial Regex SignedNumber();

    [GeneratedRegex(@"\G(?:[0-9]{1,2}/[0-9]{1,2}/[0-9]{2,4}|(?:[0-9]{1,4}-)?[0-9]{1,4}/[0-9]{1,4})", Options)]
    private static partial Regex FractionOrDate();

    [GeneratedRegex(@"\G[½¼¾⅓⅔]", Options)] private static partial Regex FractionSign();

    [GeneratedRegex(@"\G[\p{L}\p{N}][\p{L}\p{N}.,]*(?:[-_][\p{L}\p{N}]+(?:\.[0-9]+)?)+",
        Options)]
    private static partial Regex Hyphenated();

    [GeneratedRegex(@"\G[a-z0-9]+(?:-[a-z]+){0,2}(?:/[a-z0-9]+(?:-[a-z]+){0,2}){1,2}",
        Options)]
    private static partial Regex Alternatives();

    [GeneratedRegex(@"\G[a-z0-9]+(?:-(?:[a-z0-9]+))*", Options)] private static partial Regex DigitsAndLetters();

    [GeneratedRegex(@"\G[<>]?[:;=][-o*']?[()dpo\\{@|\[\]](?![a-z])", Options)] private static partial Regex Smiley();

    [GeneratedRegex(@"\G[()\[\]{}]", Options)] private static partial Regex Bracket();

    [GeneratedRegex(@"\G(?:--+|[–—―])", Options)] private static partial Regex LongDash();

    [GeneratedRegex(@"\G(?:\.\.\.+|…)", Options)] private static partial Regex Dots();

    [GeneratedRegex(@"\G\.(?: \.)+", Options)] private static partial Regex SpacedDots();

    [GeneratedRegex(@"\G(?:""|''|``|[“”«»„]|['`‘’‚‹›])", Options)] private static partial Regex Quotes();

    [GeneratedRegex(@"\G[?!]+", Options)] private static partial Regex QuestionAndExclamation();

    [GeneratedRegex(@"\G(?:@+|_+|\*+|\#+)", Options)] private static partial Regex Repeated();

    [GeneratedRegex(@"\G[-.,:;$%&+/<=>\\^|~\p{Sc}\p{Sm}\p{So}]", Options)] private static partial Regex Symbol();
}
