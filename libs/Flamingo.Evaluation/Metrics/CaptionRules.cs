using System.Text;
using System.Text.RegularExpressions;

namespace Flamingo.Evaluation.Metrics;

/// <summary>What becomes of the text that a rule matches.</summary>
internal enum TokenKind
{
    /// <summary>It is dropped: white space, and characters that no rule knows.</summary>
    Nothing,

    /// <summary>It stays as it is.</summary>
    Plain,

    /// <summary>It loses its soft hyphens.</summary>
    Word,

    /// <summary>Round brackets in it become words.</summary>
    Bracketed,

    /// <summary>It is quotes that end something, or an apostrophe.</summary>
    Quotes,

    /// <summary>It is a quote that begins something.</summary>
    OpeningQuotes,

    /// <summary>It becomes the word in the list of replacements.</summary>
    Replaced,

    /// <summary>It becomes two hyphens.</summary>
    Dash,

    /// <summary>It becomes three periods.</summary>
    Ellipsis,

    /// <summary>It has <c>&amp;</c> for the entity.</summary>
    Ampersand,
}

/// <summary>A rule of <see cref="CaptionTokenizer"/>; its group <see cref="CaptionRules.Then"/> is what must follow the token.</summary>
internal sealed record CaptionRule(Regex Pattern, TokenKind Kind);

/// <summary>
/// The rules of the Penn Treebank tokenizer that pycocoevalcap runs (CoreNLP 3.4.1), in its order. Fixed words match in any case, and
/// classes of characters only as they are written. Characters beyond the Basic Multilingual Plane, such as emoji, match no rule, as there.
/// </summary>
internal static class CaptionRules
{
    public const string Then = "then";

    private const string Letter =
        @"(?:[\p{L}\p{M}\u00AD\u02C2-\u02C5\u02D2-\u02DF\u02E5-\u02FF\u0375\u0384\u0385\u03F6]|&[aeiouAEIOU](?i:acute|grave|uml);)";

    private const string Basic = @"[\p{L}\p{Nd}]", Digit = @"\p{Nd}", Hyphen = @"[-_\u058A\u2010\u2011]";
    private const string Space = @"[ \t\u00A0\u2000-\u200A\u3000]", SpaceOrEnd = @"[ \t\u00A0\u2000-\u200A\u3000\n]";
    private const string Apostrophe = @"(?:['\u0092\u2019]|(?i:&apos;))";
    private const string AnyApostrophe = @"(?:['\u0092\u2019`\u0091\u2018\u201B]|(?i:&apos;))";
    private const string Clitic = $@"{Apostrophe}(?:[msdMSD]|(?i:re|ve|ll))", Not = $"[nN]{AnyApostrophe}[tT]";
    private const string Word = $@"{Letter}(?:{Letter}|{Digit})*(?:[.!?]{Letter}(?:{Letter}|{Digit})*)*";
    private const string Article = $@"[dDoOlL]{AnyApostrophe}{Basic}"; // d'œuvre, o'clock, l'eau
    private const string Thing = $@"(?:{Article})?{Basic}+(?:{Hyphen}(?:{Article})?{Basic}+)*";
    private const string LettersAndDigits = @"[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}";
    private const string Combined = @"[A-Z]+(?:(?:[+&]|(?i:&amp;))[A-Z]+)+";
    private const string Abroad = @"(?i:(?:Canada|Sino|Korean|EU|Japan|non)-U\.S|U\.S\.-(?:U\.K|U\.S\.S\.R))";
    private const string Acronym = $@"(?:{Abroad}|[A-Za-z](?:\.[A-Za-z])*)", LongAcronym = $@"(?:{Abroad}|[A-Za-z](?:\.[A-Za-z])+)";
    private const string Hyphenated = $@"[A-Za-z0-9][A-Za-z0-9.,\u00AD]*(?:-(?:{LongAcronym}\.|[A-Za-z0-9\u00AD]+))+";
    private const string Comma = @"(?=(?<then>[,;:\u3001]))";
    private const string TagName = "[A-Za-z][A-Za-z0-9_:.-]*";
    private const string Tag =
        $@"<(?:[!?][A-Za-z-][^>\n]*|{TagName}(?:[ ]+(?:{TagName}[ ]*=[ ]*(?:'[^'\n]*'|""[^""\n]*"")|{TagName}))*[ ]*/?|/{TagName})[ ]*>";

    private const string NoUrl = @" \t\n\f\r""<>|(){}", Path = @"/[^ \t\n\f\r""<>|()]+[^ \t\n\f\r""<>|.!?(){},-]";
    private const string Www = $@"(?i:www)\.(?:[^{NoUrl}.!?,]+\.)+[a-zA-Z]{{2,4}}";
    private const string Site = @"(?:[^ \t\n\f\r""`'<>|.!?(){},-_$]+\.)+(?i:com|net|org|edu)";
    private const string Eyes = @"[-^x=~<>']";

    // Abbreviations that end a sentence before a capital, and those that do not. A letter in brackets has this case only.
    private const string Closing =
        "(?i:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec|Mon|Tues?|Wed|Thu|Thurs|Fri|Ala|Ariz|Calif|Colo|Conn|Ct|Dak|Fla|Ga|Ind|Kans?|Ky"
        + "|Md|Mich|Minn|Mo|Mont|Neb|Nev|Okla|Penn|Tenn|Va|Vt|Wisc?|Wyo|Inc|Cos?|Corp|Pp?t[ye]s?|Ltd|Plc|Rt|Bancorp|Bhd|Assn|Univ|Intl|Sys"
        + @"|tel|est|ext|sq|Jr|Sr|Bros|(?:Ed|Ph)\.D|Blvd|Rd|Esq|etc|al|seq|Bldg)|[A][zZ]|[A][rR][kK]|[D][eE][lL]|[I][lL][lL]|[L][aA]"
        + "|[M](?i:ass|iss)|[O][rR][eE]|[P][aA]|[T][eE][xX]|[W](?i:ash)";

    private const string Titles =
        "(?i:Mr|Mrs|Ms|Drs?|Profs?|Sens?|Reps?|Attys?|Lt|Col|Gen|Messrs|Govs?|Adm|Rev|Maj|Sgt|Cpl|Pvt|Capt|Ste?|Ave|Pres|Lieut|Hon|Brig"
        + "|Co?mdr|Pfc|Spc|Supts?|Det|Mt|Ft|Adj|Adv|Asst|Assoc|Ens|Insp|Mlle|Mme|Msgr|Sfc|vs|Alex|Wm|Jos|Cie|cf|TREAS|Ph|Invt|Elec"
        + "|Natl|Dept)"
        + @"|[M](?i:iss)|(?i:M)[ft](?i:g)|(?i:a\.k\.a)";

    // A sentence begins with these words. After a single letter with a period the period is then the end of the sentence.
    private const string Beginning =
        "(?:A(?i:bout|ccording|dditionally|fter|n|s|t)?|B(?i:ut)|E(?i:arlier)|H(?i:e|er|ere|owever)|I(?i:f|n|t)|L(?i:ast)"
        + "|M(?i:any|ore|r[.]|s[.])|N(?i:ow)|O(?i:nce|ne|ther|ur)|S(?i:he|ince|o|ome|uch)|T(?i:hat|he|heir|hen|here|hese|hey|his)"
        + "|W(?i:e|hen|hile|hat)|Y(?i:et|ou))";

    private static readonly (string Pattern, TokenKind Kind)[] Table =
    [
        ("(?i:c)[+][+]", TokenKind.Plain), ("(?i:c|f)#", TokenKind.Plain),
        ("(?i:can)(?=(?<then>(?i:not)))", TokenKind.Plain), ("(?i:'t)(?=(?<then>(?i:was|is)))", TokenKind.Plain),
        ("(?i:gon(?=(?<then>na))|got(?=(?<then>ta))|lem(?=(?<then>me))|gim(?=(?<then>me))|wan(?=(?<then>na)))", TokenKind.Plain),
        (Tag, TokenKind.Plain),
        (@"&(?:(?i:mdash|ndash|MD));|[\u0096\u0097\u2013\u2014\u2015]", TokenKind.Dash), ("(?i:&amp;)", TokenKind.Ampersand),
        ("&(?:(?i:HT|TL|UR|LR|QC|QL|QR|odq|cdq)|#[0-9]+);", TokenKind.Plain),

        // words, with what follows an apostrophe split off
        ($"{Word}(?=(?<then>{Clitic}))", TokenKind.Word), ($@"[A-Za-z\u00AD]*[A-MO-Za-mo-z]\u00AD*(?=(?<then>{Not}))", TokenKind.Word),
        (Word, TokenKind.Word),
        ($"{Apostrophe}[nN]{Apostrophe}?|[lLdDjJ]{Apostrophe}|(?i:Dunkin|somethin|ol){Apostrophe}|{Apostrophe}(?i:em)", TokenKind.Plain),
        ($@"[A-HJ-XZn]{AnyApostrophe}\p{{L}}{{2,}}|{Apostrophe}[2-9]0(?i:s)|{Apostrophe}(?i:till?|cause)", TokenKind.Plain),
        ($@"\p{{L}}+[aeiouyAEIOUY]{AnyApostrophe}[aeiouA-Z]\p{{L}}*", TokenKind.Plain),
        ($@"(?i:cont'd\.?|nor'easter|c'mon|e'er|s'mores|ev'ry|li'l|nat'l)|[oO]{AnyApostrophe}[oO]", TokenKind.Plain),
        ($@"[yY]{Apostrophe}(?=(?<then>\p{{L}}))", TokenKind.Plain),

        // addresses
        ($@"(?i:https?)://[^{NoUrl}]+[^{NoUrl}.!?,-]", TokenKind.Plain), ($"{Www}{Path}", TokenKind.Plain), (Www, TokenKind.Plain),
        ($"{Site}{Path}", TokenKind.Plain), (Site, TokenKind.Plain),
        (@"(?:(?i:&lt;)|<)?[a-zA-Z0-9][^ \t\n\f\r""<>|()\u00A0{}]*@(?:[^ \t\n\f\r""<>|(){}.\u00A0]+\.)*[^ \t\n\f\r""<>|(){}.\u00A0]+"
            + "(?:(?i:&gt;)|>)?", TokenKind.Plain),
        ($"@[a-zA-Z_][a-zA-Z_0-9]*|#{Letter}+", TokenKind.Plain),
        ($@"{Clitic}(?=(?<then>[^A-Za-z]))", TokenKind.Quotes), ($@"{Not}(?=(?<then>[^A-Za-z]))", TokenKind.Quotes),

        // numbers
        ($"{Digit}{{1,2}}[-/]{Digit}{{1,2}}[-/]{Digit}{{2,4}}", TokenKind.Plain),
        ($@"[-+]?(?:{Digit}*(?:[.:,\u00AD\u066B\u066C]{Digit}+)+|{Digit}+)", TokenKind.Word),
        (@"[\u207A\u207B\u208A\u208B]?(?:[\u2070\u00B9\u00B2\u00B3\u2074-\u2079]+|[\u2080-\u2089]+)", TokenKind.Plain),
        ($@"(?:{Digit}{{1,4}}[- \u00A0])?{Digit}{{1,4}}(?:\\?/|\u2044){Digit}{{1,4}}", TokenKind.Plain),
        (@"[\u00BC\u00BD\u00BE\u2153-\u215E]", TokenKind.Replaced),
        ("-(?i:[RL][RCS]B)-|(?i:C[.]D[.]s|pro-|anti-|c['\u0092\u2019]est|cap['\u0092\u2019]n)", TokenKind.Plain),
        ("(?i:S(?:&amp;|&)P-500|S(?:&amp;|&)Ls)", TokenKind.Ampersand),
        ($@"{LettersAndDigits}(?:\\?/{LettersAndDigits}){{1,2}}", TokenKind.Plain), (@"[A-Z]*\$|#", TokenKind.Plain),
        (@"[\u00A2\u00A3\u00A4\u00A5\u0080\u20A0\u20AC\u060B\u0E3F\u20A4\uFFE0\uFFE1\uFFE5\uFFE6]", TokenKind.Replaced),

        // abbreviations
        ($@"[A-Za-z](?=(?<then>\.{SpaceOrEnd}+(?:{Beginning}|{Tag}){SpaceOrEnd}))", TokenKind.Plain),
        ($@"{LongAcronym}\.(?=(?<then>{SpaceOrEnd}+(?:{Beginning}|{Tag}){SpaceOrEnd}))", TokenKind.Plain),
        ($@"(?i:ca|figs?|prop|nos?|art|bldg|pp|op)\.(?=(?<then>{SpaceOrEnd}?{Digit}))", TokenKind.Plain),
        ($@"(?:(?i:pt)[eyEY]|(?i:co))\.(?=(?<then>{Space}(?i:ltd|lim)))", TokenKind.Plain),
        ($@"(?:{Closing})\.(?=(?<then>[\s\S]{{2}}))", TokenKind.Plain), ($@"(?:{Closing})\.", TokenKind.Plain),
        ($@"(?:{Acronym}|{Titles})\.", TokenKind.Plain), ($"(?:{Acronym}|{Titles})(?=(?<then>{SpaceOrEnd}))", TokenKind.Plain),
        ($"{Apostrophe}[0-9][0-9](?=(?<then>{SpaceOrEnd}))", TokenKind.Plain),
        ($@"(?:{Letter}|{Digit})+(?:[.](?:{Letter}|{Digit})+)*[.](?i:bat|bmp|cgi|cpp|class|c|dll|docx?|exe|gif|gz|html?|h|jar|java|jpe?g"
            + $@"|mov|mp3|pdf|php|pl|png|ppt|ps|py|sql|tar|txt|wav|xml|x|zip)(?=(?<then>{SpaceOrEnd}|[.?!,]))", TokenKind.Plain),
        ($@"{Word}\.{Comma}", TokenKind.Word),
        (@"(?:\([0-9]{2,3}\)[ \u00A0]?|(?:\+\+?)?(?:[0-9]{2,4}[- \u00A0])?[0-9]{2,4}[- \u00A0])[0-9]{3,4}[- \u00A0]?[0-9]{3,5}",
            TokenKind.Bracketed),
        (@"(?:(?:\+\+?)?[0-9]{2,4}\.)?[0-9]{2,4}\.[0-9]{3,4}\.[0-9]{3,5}", TokenKind.Plain),

        // signs
        ("(?:\"|(?i:&quot;))(?=(?<then>[A-Za-z0-9$]))", TokenKind.OpeningQuotes), ("\"|(?i:&quot;)", TokenKind.Quotes),
        ("<|>|(?i:&lt;|&gt;)", TokenKind.Replaced),
        (@"[<>]?[:;=][-o*']?[()DPdpO\\{@|\[\]](?=(?<then>[^A-Za-z0-9]))", TokenKind.Bracketed),
        ($@"{Eyes}_{Eyes}|\({Eyes}[_.]?{Eyes}\)|\([\^x=~<>']-[\^x=~<>'`]\)", TokenKind.Bracketed),
        (@"[{}\[\]()]", TokenKind.Replaced), ("-{3,4}", TokenKind.Dash), ("-+", TokenKind.Plain),
        (@"\.{3,5}|(?:\.[ \u00A0]){2,4}\.|[\u0085\u2026]", TokenKind.Ellipsis), (@"@+|\#+|_+|\*+|(?:\\\*){1,3}", TokenKind.Plain),
        (@"[,;:\u3001]|[?!]+|[.¡¿\u037E\u0589\u061F\u06D4\u0700-\u0702\u07FA\u3002]|=|/", TokenKind.Plain),

        // letters and digits with hyphens, and what is left
        ($@"{Hyphenated}\.{Comma}", TokenKind.Word), (Hyphenated, TokenKind.Word), ($@"{Thing}\.{Comma}", TokenKind.Plain),
        (Thing, TokenKind.Plain), ($@"{Combined}\.{Comma}", TokenKind.Ampersand), (Combined, TokenKind.Ampersand),
        (@"'(?=(?<then>[A-Za-z][^ \t\n\r\u00A0]))", TokenKind.OpeningQuotes), (Clitic, TokenKind.Quotes), (Not, TokenKind.Quotes),
        (@"''|[`\u2018-\u201F\u0091-\u0094\u2039\u203A\u00AB\u00BB]{1,2}", TokenKind.Quotes), (Apostrophe, TokenKind.Quotes),
        (@"<<|>>", TokenKind.Plain),
        (@"[+%&~^|\\\u00A6\u00A7\u00A8\u00A9\u00AC\u00AE-\u00BA\u00D7\u00F7\u0387\u05BE\u05C0\u05C3\u05C6\u05F3\u05F4\u0600-\u0603"
            + @"\u0606-\u060A\u060C\u0614\u061B\u061E\u066A\u066D\u0703-\u070D\u07F6-\u07F8\u0964\u0965\u0E4F\u1FBD"
            + @"\u2016\u2017\u2020-\u2023\u2030-\u2038\u203B\u203E-\u2042\u2044\u207A-\u207F\u208A-\u208E"
            + @"\u2100-\u214F\u2190-\u2BFF\u3012\u30FB\uFF01-\uFF0F"
            + @"\uFF1A-\uFF20\uFF3B-\uFF40\uFF5B-\uFF65]", TokenKind.Plain),
        ($"{Space}+|(?i:&nbsp;)", TokenKind.Nothing),
    ];

    private static readonly Dictionary<string, string> Replacements = new(StringComparer.OrdinalIgnoreCase)
    {
        ["\u00BC"] = "1/4", ["\u00BD"] = "1/2", ["\u00BE"] = "3/4", ["\u2153"] = "1/3", ["\u2154"] = "2/3",
        ["\u00A2"] = "cents", ["\u00A3"] = "#", ["\u0080"] = "$", ["\u00A4"] = "$", ["\u20A0"] = "$", ["\u20AC"] = "$",
        ["("] = "-LRB-", [")"] = "-RRB-", ["["] = "-LSB-", ["]"] = "-RSB-", ["{"] = "-LCB-", ["}"] = "-RCB-",
        ["&lt;"] = "<", ["&gt;"] = ">",
    };

    public static IReadOnlyList<CaptionRule> All { get; } = [.. Table.Select(rule =>
        new CaptionRule(new Regex($@"\G(?:{rule.Pattern})", RegexOptions.CultureInvariant | RegexOptions.Compiled), rule.Kind))];

    /// <summary>Whether a word is two that grew together, as in "gonna".</summary>
    public static bool IsAssimilated(ReadOnlySpan<char> word) => word.Length is 5 or 6
        && (Is(word, "cannot") || Is(word, "gonna") || Is(word, "gotta") || Is(word, "lemme") || Is(word, "gimme") || Is(word, "wanna"));

    /// <summary>The token that stands for a matched text.</summary>
    public static string Token(TokenKind kind, ReadOnlySpan<char> text) => kind switch
    {
        TokenKind.Nothing => "",
        TokenKind.Word => WithoutSoftHyphens(text.ToString()),
        TokenKind.Bracketed => text.ToString().Replace("(", "-LRB-", StringComparison.Ordinal)
            .Replace(")", "-RRB-", StringComparison.Ordinal),
        TokenKind.Quotes => Quoted(text, opening: false),
        TokenKind.OpeningQuotes => Quoted(text, opening: true),
        TokenKind.Replaced => Replacements.GetValueOrDefault(text.ToString(), text.ToString()),
        TokenKind.Dash => "--",
        TokenKind.Ellipsis => "...",
        TokenKind.Ampersand => text.ToString().Replace("&amp;", "&", StringComparison.OrdinalIgnoreCase),
        _ => text.ToString(),
    };

    private static bool Is(ReadOnlySpan<char> word, string other) => word.Equals(other, StringComparison.OrdinalIgnoreCase);

    private static string WithoutSoftHyphens(string text) =>
        !text.Contains('\u00AD', StringComparison.Ordinal) ? text
        : text.Replace("\u00AD", "", StringComparison.Ordinal) is { Length: > 0 } rest ? rest : "-";

    // Quotes are written as in LaTeX.
    private static string Quoted(ReadOnlySpan<char> text, bool opening)
    {
        var quoted = new StringBuilder();
        var plain = text.ToString().Replace("&apos;", "'", StringComparison.Ordinal).Replace("&quot;", "\"", StringComparison.Ordinal);
        foreach (var sign in plain)
            _ = sign switch
            {
                '\'' => quoted.Append(opening ? "`" : "'"),
                '"' => quoted.Append(opening ? "``" : "''"),
                '\u0091' or '\u2018' or '\u201B' or '\u2039' => quoted.Append('`'),
                '\u0092' or '\u2019' or '\u203A' => quoted.Append('\''),
                '\u0093' or '\u201C' or '\u00AB' => quoted.Append("``"),
                '\u0094' or '\u201D' or '\u00BB' => quoted.Append("''"),
                _ => quoted.Append(sign),
            };
        return quoted.ToString();
    }
}
