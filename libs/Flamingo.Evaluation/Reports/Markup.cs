using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Unicode;

namespace Flamingo.Evaluation.Reports;

/// <summary>
/// A piece of HTML. An interpolated string that is assigned to it becomes HTML whose inserted texts are escaped; only inserted
/// <see cref="Markup"/> is taken as it is. A text from a file can therefore never become a tag or an attribute, wherever it is inserted.
/// </summary>
[InterpolatedStringHandler]
internal sealed class Markup
{
    private static readonly HtmlEncoder Encoder = HtmlEncoder.Create(UnicodeRanges.All);

    private readonly StringBuilder _html;

    public Markup(int literalLength, int formattedCount) => _html = new StringBuilder(literalLength + (16 * formattedCount));

    public static Markup Empty => new(0, 0);

    /// <summary>Text that is HTML already, because this assembly made it.</summary>
    public static Markup Raw(string html)
    {
        var markup = Empty;
        markup._html.Append(html);
        return markup;
    }

    public void AppendLiteral(string html) => _html.Append(html);

    public void AppendFormatted(string? text) => _html.Append(Encoder.Encode(ReportWords.Printable(text ?? "")));

    public void AppendFormatted(int number) => _html.Append(number);

    public void AppendFormatted(ulong number) => _html.Append(number);

    public void AppendFormatted(Markup markup) => _html.Append(markup._html);

    public void AppendFormatted(IEnumerable<Markup> all)
    {
        foreach (var markup in all) _html.Append(markup._html);
    }

    public override string ToString() => _html.ToString();
}
