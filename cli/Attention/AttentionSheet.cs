using Flamingo.Abstractions;
using SkiaSharp;

namespace Flamingo.Cli.Attention;

/// <summary>
/// Draws the attention of each generated token as one picture. Each answer begins with its text, and below it stands one panel per token
/// in reading order, with the token's text under it. A panel shows the prompt's last picture after the model's preprocessing (EXIF
/// orientation, crop or resize to a square, transparency): dark where the attention is low, orange where it is high. If the picture was
/// sent by id, the panel shows the attention grid only.
/// </summary>
public static class AttentionSheet
{
    /// <summary>Sizes in pixels, and most panels of a row. The words of a panel's token are below it.</summary>
    public const int Panel = 224, Words = 34, Gap = 12, Margin = 24, Title = 44, Legend = 40, Columns = 8;

    private const int NarrowestRow = 2; // panels; narrower sheets would have no room for the legend
    private const float WordsSize = 19, TitleSize = 24, LegendSize = 15;

    private static readonly SKColor Ink = new(28, 28, 32), Faint = new(112, 112, 122);

    // The overlay's colours, with its strongest alpha.
    private static readonly SKColor Low = new(8, 10, 24, 160), High = new(255, 118, 0, 152);

    /// <summary>What a panel shows.</summary>
    /// <param name="Map">As <see cref="TokenAttention.Map"/>.</param>
    public sealed record Look(TokenLabel Label, TensorData Map);

    /// <param name="picture">The prompt's last picture; null if it has none.</param>
    /// <param name="model">The model of the answer, whose preprocessing the panels follow.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static async Task WriteAsync(string path, Answer answer, FlamingoVisual? picture, FlamingoModel model, TextWriter error)
    {
        var answers = answer.Samples.Select(sample => (sample.Text, Rows: Rows([.. Looks(sample, model.Language)])))
            .Where(one => one.Rows.Count > 0).ToList();
        if (answers.Count == 0)
        {
            await error.WriteLineAsync($"flamingo: {path} is not written, because no generated token attended to a picture.");
            return;
        }

        using var seen = picture is FlamingoPicture sent ? AsSeen(sent.Bytes, model.Vision) : null;
        using var image = Draw(answers, seen);
        using var data = image.Encode(SKEncodedImageFormat.Png, 100);
        await File.WriteAllBytesAsync(path, data.ToArray());
        var words = answers.Select(one => string.Join(" | ", one.Rows.SelectMany(row => row).Select(look => look.Label.Text)));
        await error.WriteLineAsync($"[{path}: {string.Join(" / ", words)}]");
    }

    /// <summary>The file of one of several sheets, for example maps-2.png for maps.png.</summary>
    public static string Numbered(string path, int number) => Path.Combine(
        Path.GetDirectoryName(path) ?? "", $"{Path.GetFileNameWithoutExtension(path)}-{number}{Path.GetExtension(path)}");

    /// <summary>The tokens of an answer that attended to a picture.</summary>
    public static IEnumerable<Look> Looks(AnswerSample sample, LanguageModelDescription model) =>
        from token in sample.Attention.Zip(TokenLabel.Of(sample, model))
        let map = token.First?.Map
        where map is not null
        select new Look(token.Second, map);

    // As few rows as possible, of nearly the same length.
    private static List<Look[]> Rows(IReadOnlyList<Look> looks)
    {
        if (looks.Count == 0) return [];
        var rows = (looks.Count + Columns - 1) / Columns;
        return [.. looks.Chunk((looks.Count + rows - 1) / rows)];
    }

    private static SKImage Draw(IReadOnlyList<(string Text, List<Look[]> Rows)> answers, SKImage? picture)
    {
        var columns = Math.Max(NarrowestRow, answers.Max(one => one.Rows.Max(row => row.Length)));
        var width = (2 * Margin) + (columns * (Panel + Gap)) - Gap;
        var height = Margin + answers.Sum(one => Title + (one.Rows.Count * (Panel + Words + Gap))) + Legend;
        using var surface = SKSurface.Create(new SKImageInfo(width, height, SKColorType.Rgba8888, SKAlphaType.Opaque));
        using var font = new SheetFont();
        var canvas = surface.Canvas;
        canvas.Clear(SKColors.White);
        var top = Margin;
        foreach (var (text, rows) in answers)
        {
            var title = string.Join(' ', text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
            font.Draw(canvas, title.Length > 0 ? title : "an answer without text", Margin, top + TitleSize - 2, TitleSize,
                width - (2 * Margin), title.Length > 0 ? Ink : Faint);
            top += Title;
            foreach (var row in rows)
            {
                foreach (var (column, look) in row.Index())
                {
                    var panel = SKRect.Create(Margin + (column * (Panel + Gap)), top, Panel, Panel);
                    Draw(canvas, panel, picture, look.Map);
                    font.Draw(canvas, look.Label.Text, panel.MidX, panel.Bottom + WordsSize + 6, WordsSize, Panel,
                        look.Label.IsSeen ? Ink : Faint, centred: true);
                }

                top += Panel + Words + Gap;
            }
        }

        DrawLegend(canvas, font, Margin, top, width - (2 * Margin));
        return surface.Snapshot();
    }

    private static void Draw(SKCanvas canvas, SKRect panel, SKImage? picture, TensorData map)
    {
        using var ground = new SKPaint { Color = new SKColor(128, 128, 128) };
        canvas.DrawRect(panel, ground);
        var smooth = new SKSamplingOptions(SKCubicResampler.Mitchell);
        if (picture is not null) canvas.DrawImage(picture, panel, smooth);
        using var heat = Heat(map.ToFloats(), map.Shape[1], map.Shape[0]);
        canvas.DrawImage(heat, panel, new SKSamplingOptions(SKFilterMode.Linear, SKMipmapMode.Linear));
    }

    // A bar with the colours of the overlay over the grey of a panel without a picture, and what its ends mean.
    private static void DrawLegend(SKCanvas canvas, SheetFont font, float left, float top, float room)
    {
        const int Width = 96, Height = 14;
        const string Least = "looked least", Most = "most, within each panel";
        var baseline = top + Height - 1;
        font.Draw(canvas, Least, left, baseline, LegendSize, room, Faint);
        left += 104;
        using var ground = new SKPaint { Color = new SKColor(200, 200, 200) };
        canvas.DrawRect(SKRect.Create(left, top, Width, Height), ground);
        using var heat = Heat([.. Enumerable.Range(0, Width).Select(step => (float)step)], Width, 1);
        canvas.DrawImage(heat, SKRect.Create(left, top, Width, Height), SKSamplingOptions.Default);
        font.Draw(canvas, Most, left + Width + 10, baseline, LegendSize, room - 104 - Width - 10, Faint);
    }

    // A client may run without torch, so Skia scales the picture. Returns null for a file that this build cannot decode.
    private static SKImage? AsSeen(ReadOnlyMemory<byte> file, VisionEncoderDescription vision)
    {
        var whole = SeenPicture.Whole(file, vision);
        // The part that is the whole would be the same object, which must not be disposed.
        if (whole is null || vision.Resize == "square" || whole.Width == whole.Height) return whole;
        var side = Math.Min(whole.Width, whole.Height);
        using (whole) return whole.Subset(SKRectI.Create((whole.Width - side) / 2, (whole.Height - side) / 2, side, side));
    }

    // An overlay with unpremultiplied alpha. From the least attention to the middle, darkness becomes transparent, so that the picture
    // shows as it is; from the middle to the most attention, orange grows over it.
    private static SKImage Heat(float[] values, int columns, int rows)
    {
        var (least, most, pixels) = (values.Min(), values.Max(), new byte[4 * values.Length]);
        foreach (var (place, value) in values.Index())
        {
            var share = most > least ? (value - least) / (most - least) : 0;
            var (colour, strength) = share < 0.5f ? (Low, 1 - (2 * share)) : (High, (2 * share) - 1);
            (pixels[4 * place], pixels[(4 * place) + 1], pixels[(4 * place) + 2], pixels[(4 * place) + 3]) =
                (colour.Red, colour.Green, colour.Blue, (byte)(colour.Alpha * strength));
        }

        return SKImage.FromPixelCopy(new SKImageInfo(columns, rows, SKColorType.Rgba8888, SKAlphaType.Unpremul), pixels);
    }
}
