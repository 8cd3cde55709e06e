using Flamingo.Abstractions;
using Flamingo.VisionEncoder.Decoding;
using Flamingo.VisionEncoder.Preprocessing;
using SkiaSharp;

namespace Flamingo.Cli.Generating;

/// <summary>
/// Draws the attention of each generated token as one picture: one panel per token in reading order, and every answer starts a new
/// row. A panel shows the prompt's last picture after the model's preprocessing (EXIF orientation, crop or resize to a square,
/// transparency), dark where the attention is low. If the picture was sent by id, the panel shows the attention grid only.
/// </summary>
public static class AttentionSheet
{
    private const int Panel = 224;
    private const int Gap = 8;
    private const int Columns = 8;

    /// <param name="vision">The vision encoder of the answer, whose preprocessing the panels follow.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static async Task WriteAsync(
        string path, Answer answer, IReadOnlyList<FlamingoSegment> segments, VisionEncoderDescription vision, TextWriter error)
    {
        var rows = answer.Samples.SelectMany(sample => Looks(sample).Chunk(Columns)).ToList();
        if (rows.Count == 0)
        {
            await error.WriteLineAsync($"flamingo: {path} is not written, because no generated token attended to a picture.");
            return;
        }

        var last = segments.LastOrDefault(segment => segment is not FlamingoText);
        using var picture = last is FlamingoPicture sent ? AsSeen(sent.Bytes, vision) : null;
        static int Start(int panel) => Gap + (panel * (Panel + Gap)); // the offset of a column or row in pixels
        var size = new SKImageInfo(Start(rows.Max(row => row.Length)), Start(rows.Count), SKColorType.Rgba8888, SKAlphaType.Opaque);
        using var surface = SKSurface.Create(size);
        surface.Canvas.Clear(SKColors.White);
        foreach (var (row, looks) in rows.Index())
            foreach (var (column, look) in looks.Index())
                Draw(surface.Canvas, SKRect.Create(Start(column), Start(row), Panel, Panel), picture, look.Map);
        using var image = surface.Snapshot();
        using var data = image.Encode(SKEncodedImageFormat.Png, 100);
        await File.WriteAllBytesAsync(path, data.ToArray());
        var words = rows.Select(row => string.Join(" | ", row.Select(look => look.Text.Length > 0 ? look.Text.Trim() : $"#{look.Id}")));
        await error.WriteLineAsync($"[{path}: {string.Join(" / ", words)}]");
    }

    // The tokens that attended to a picture. If several tokens arrived in one event, the first one carries their text.
    private static IEnumerable<(string Text, int Id, TensorData Map)> Looks(AnswerSample sample) =>
        from part in sample.Parts
        from seen in part.Attention.Index()
        where seen.Item?.Map is not null
        select (seen.Index == 0 ? part.Text : "", part.Ids[seen.Index], seen.Item.Map);

    private static void Draw(SKCanvas canvas, SKRect panel, SKImage? picture, TensorData map)
    {
        using var ground = new SKPaint { Color = new SKColor(96, 96, 96) };
        canvas.DrawRect(panel, ground);
        var smooth = new SKSamplingOptions(SKFilterMode.Linear, SKMipmapMode.Linear);
        if (picture is not null) canvas.DrawImage(picture, panel, smooth);
        using var heat = Heat(map);
        canvas.DrawImage(heat, panel, smooth);
    }

    // A client may run without torch, so Skia scales the picture. Returns null for a file that this build cannot decode.
    private static SKImage? AsSeen(ReadOnlyMemory<byte> file, VisionEncoderDescription vision)
    {
        if (IPictureDecoder.Compiled.Decode(file) is not { } picture) return null;
        var (width, height) = PicturePreprocessor.UprightSize(picture, vision.Orientation);
        var (size, planes) = (width * height, new byte[3 * width * height]);
        PicturePreprocessor.WritePlanes(picture, vision.Orientation, vision.Alpha, planes);
        var pixels = new byte[4 * size];
        for (var place = 0; place < size; place++)
        {
            for (var channel = 0; channel < 3; channel++) pixels[(4 * place) + channel] = planes[(channel * size) + place];
            pixels[(4 * place) + 3] = byte.MaxValue;
        }

        var whole = SKImage.FromPixelCopy(new SKImageInfo(width, height, SKColorType.Rgba8888, SKAlphaType.Opaque), pixels);
        if (vision.Resize == "square") return whole;
        var side = Math.Min(width, height);
        using (whole) return whole.Subset(SKRectI.Create((width - side) / 2, (height - side) / 2, side, side));
    }

    // An overlay of [rows, columns] pixels with unpremultiplied alpha: black over the patch with the least attention, orange over the
    // patch with the most.
    private static SKImage Heat(TensorData map)
    {
        var (rows, columns, values) = (map.Shape[0], map.Shape[1], map.ToFloats());
        var (least, most, pixels) = (values.Min(), values.Max(), new byte[4 * values.Length]);
        foreach (var (place, value) in values.Index())
        {
            var share = most > least ? (value - least) / (most - least) : 0;
            (pixels[4 * place], pixels[(4 * place) + 1], pixels[(4 * place) + 3]) = (
                (byte)(255 * share), (byte)(128 * share), (byte)(184 - (64 * share)));
        }

        return SKImage.FromPixelCopy(new SKImageInfo(columns, rows, SKColorType.Rgba8888, SKAlphaType.Unpremul), pixels);
    }
}
