using System.Globalization;
using System.Text;
using SkiaSharp;

namespace Flamingo.Cli.Attention;

/// <summary>
/// Draws words in DejaVu Sans, which this assembly contains, so that a sheet looks the same on every machine. It has Latin, Greek,
/// Cyrillic, Hebrew, Arabic and many signs. A character that it lacks, for example a Chinese one, is drawn in an installed font that has
/// it; without one, its number is drawn.
/// </summary>
internal sealed class SheetFont : IDisposable
{
    private const string Shortened = "…";

    private readonly SKTypeface _own;
    private readonly Lazy<IReadOnlyList<SKTypeface>> _installed;

    public SheetFont()
    {
        using var file = typeof(SheetFont).Assembly.GetManifestResourceStream("DejaVuSans.ttf")!;
        _own = SKTypeface.FromStream(file);
        _installed = new(() =>
        {
            var fonts = SKFontManager.Default;
            return [.. Enumerable.Range(0, fonts.FontFamilyCount).Select(family => fonts.MatchFamily(fonts.GetFamilyName(family)))
                .OfType<SKTypeface>()];
        });
    }

    public void Dispose()
    {
        _own.Dispose();
        if (!_installed.IsValueCreated) return;
        foreach (var face in _installed.Value) face.Dispose();
    }

    /// <summary>Draws one line. A text that is wider than the room is cut and ends with an ellipsis.</summary>
    /// <param name="x">The left end of the text, or its middle if it is centred, in pixels.</param>
    /// <param name="baseline">In pixels from the top.</param>
    /// <param name="room">Largest width in pixels.</param>
    public void Draw(SKCanvas canvas, string text, float x, float baseline, float size, float room, SKColor colour, bool centred = false)
    {
        var runs = Fit(Runs(text), size, room);
        if (centred) x -= Width(runs, size) / 2;
        using var paint = new SKPaint { Color = colour, IsAntialias = true };
        foreach (var (face, words) in runs)
        {
            using var font = new SKFont(face, size) { Subpixel = true };
            canvas.DrawText(words, x, baseline, font, paint);
            x += font.MeasureText(words);
        }
    }

    private List<(SKTypeface Face, string Text)> Fit(List<(SKTypeface Face, string Text)> runs, float size, float room)
    {
        if (Width(runs, size) <= room) return runs;
        while (runs.Count > 0)
        {
            var (face, text) = runs[^1];
            var elements = StringInfo.ParseCombiningCharacters(text);
            runs.RemoveAt(runs.Count - 1);
            if (elements.Length > 1) runs.Add((face, text[..elements[^1]].TrimEnd()));
            List<(SKTypeface, string)> cut = [.. runs, (_own, Shortened)];
            if (Width(cut, size) <= room) return cut;
        }

        return [(_own, Shortened)];
    }

    private static float Width(IEnumerable<(SKTypeface Face, string Text)> runs, float size) => runs.Sum(run =>
    {
        using var font = new SKFont(run.Face, size) { Subpixel = true };
        return font.MeasureText(run.Text);
    });

    // Neighbouring characters that are drawn in the same font, in the order in which they are drawn.
    private List<(SKTypeface Face, string Text)> Runs(string text)
    {
        var (runs, isNamed) = (new List<(SKTypeface Face, string Text)>(), false);
        foreach (var element in Elements(text))
        {
            var face = _own.ContainsGlyphs(element) ? _own : _installed.Value.FirstOrDefault(face => face.ContainsGlyphs(element));
            var words = face is not null ? element
                : (isNamed ? " " : "") + string.Join(' ', element.EnumerateRunes().Select(rune => TokenLabel.Named(rune.Value)));
            isNamed = face is null;
            if (runs.Count > 0 && runs[^1].Face == (face ?? _own)) runs[^1] = (runs[^1].Face, runs[^1].Text + words);
            else runs.Add((face ?? _own, words));
        }

        return runs;
    }

    // Skia draws from left to right, so words of Hebrew or Arabic alone are reversed.
    private static IEnumerable<string> Elements(string text)
    {
        var elements = new List<string>();
        for (var all = StringInfo.GetTextElementEnumerator(text); all.MoveNext();) elements.Add(all.GetTextElement());
        if (elements.Count > 0 && elements.TrueForAll(element => element[0] is >= '\u0590' and <= '\u08FF')) elements.Reverse();
        return elements;
    }
}
