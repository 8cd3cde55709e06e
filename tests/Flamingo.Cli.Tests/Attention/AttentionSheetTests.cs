using System.Text;
using Flamingo.Abstractions;
using Flamingo.Cli.Attention;
using Flamingo.Cli.Tests.Running;
using SkiaSharp;
using static Flamingo.Cli.Attention.AttentionSheet;

namespace Flamingo.Cli.Tests.Attention;

/// <summary>Tests what the sheet of attention maps shows, pixel by pixel where it matters.</summary>
public sealed class AttentionSheetTests : IDisposable
{
    private const int Top = Margin + Title; // of the panels of the first row

    private static readonly TokenAttention UpperLeft = Map(1, 0, 0, 0), UpperRight = Map(0, 1, 0, 0), LowerRight = Map(0, 0, 0, 1);

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_panel_for_each_token_is_brightest_where_it_looked()
    {
        var answer = Of([Tokens("a", UpperLeft), Tokens(" dog", LowerRight)], [Tokens("a", UpperRight), Tokens(" cat", null)]);
        var picture = new FlamingoPicture(await File.ReadAllBytesAsync(
            Examples.Prompt("caption-query.png"), TestContext.Current.CancellationToken));
        var (sheet, error) = await DrawAsync(answer, picture, Vision());
        // The second answer starts a row; its second token attended to nothing.
        Assert.Contains("a | dog / a]", error, StringComparison.Ordinal);
        var rows = 2 * (Title + Panel + Words + Gap);
        Assert.Equal(((2 * Margin) + (2 * Panel) + Gap, Margin + rows + Legend), (sheet.Width, sheet.Height));
        int Orange(int panel, int x, int y) => Pixel(panel, x, y).Red - Pixel(panel, x, y).Blue;
        SKColor Pixel(int panel, int x, int y) => sheet.GetPixel(Margin + (panel * (Panel + Gap)) + x, Top + y);
        Assert.True(Orange(0, 20, 20) > Orange(0, 204, 204) + 60, "the first token looked at the upper left");
        Assert.True(Orange(1, 204, 204) > Orange(1, 20, 20) + 60, "the second at the lower right");
    }

    /// <summary>
    /// The picture is red in its left half and blue in its right half. It must show in every panel, whatever the heat.
    /// </summary>
    [Theory]
    [InlineData(64, 64)]
    [InlineData(128, 64)]
    public async Task The_picture_is_seen_beneath_the_heat(int width, int height)
    {
        using var bitmap = new SKBitmap(new SKImageInfo(width, height, SKColorType.Rgba8888, SKAlphaType.Opaque));
        bitmap.Erase(SKColors.Blue);
        bitmap.Erase(SKColors.Red, SKRectI.Create(0, 0, width / 2, height));
        var picture = new FlamingoPicture(bitmap.Encode(SKEncodedImageFormat.Png, 100).ToArray());
        var (sheet, _) = await DrawAsync(Of([Tokens("a", Map(0, 0, 1, 1))]), picture, Vision());
        foreach (var y in new[] { 10, Panel / 2, Panel - 10 })
        {
            var (left, right) = (sheet.GetPixel(Margin + 60, Top + y), sheet.GetPixel(Margin + Panel - 60, Top + y));
            Assert.True(left.Red > left.Blue + 60 && right.Blue > left.Blue + 60, $"{left} and {right} at {y}");
        }
    }

    /// <summary>
    /// The displayed picture is red in its left half and has a strip on its left that is transparent over black; in its file it is rotated.
    /// Every panel must show the pixels after the model's preprocessing: rotated or not, cropped or square, over white or not.
    /// </summary>
    [Theory]
    [InlineData("exif", "shortest_side_crop", "drop", "red blue")]
    [InlineData("exif", "square", "drop", "black blue")]
    [InlineData("exif", "square", "white", "white blue")]
    [InlineData("ignore", "square", "drop", "blue blue")]
    public async Task The_map_is_drawn_over_the_picture_as_the_model_saw_it(
        string orientation, string resize, string alpha, string expected)
    {
        var vision = Vision() with { Orientation = orientation, Resize = resize, Alpha = alpha };
        var (sheet, _) = await DrawAsync(Of([Tokens("a", LowerRight)]), new FlamingoPicture(OnItsSide()), vision);
        // The token attended to the lower right, so the top of its panel has the same overlay everywhere.
        Assert.Equal(expected, $"{Name(sheet.GetPixel(Margin + 10, Top + 10))} {Name(sheet.GetPixel(Margin + Panel - 10, Top + 10))}");

        static string Name(SKColor color) => (color.Red > 40, color.Green > 40, color.Blue > 40) switch
        {
            (true, false, false) => "red",
            (false, false, true) => "blue",
            (true, true, true) => "white",
            _ => "black",
        };
    }

    [Fact]
    public async Task Every_panel_says_its_token_within_its_width()
    {
        var tooLong = string.Concat(Enumerable.Repeat(" incomprehensibilities", 4));
        string[] texts = [" cat", " dog", "\n\n", "<|endofchunk|>", tooLong, " кошка", "中文", " חתול"];
        var (sheet, _) = await DrawAsync(Of([.. texts.Select(text => Tokens(text, UpperLeft))]), null, Vision());
        var labels = texts.Select((_, panel) => Ink(sheet, SKRectI.Create(Margin + (panel * (Panel + Gap)), Top + Panel, Panel, Words)))
            .ToList();
        Assert.All(labels, label => Assert.Contains('#', label));
        Assert.Equal(labels.Count, labels.Distinct().Count());
        foreach (var panel in Enumerable.Range(0, texts.Length - 1)) // nothing is written between the panels
            Assert.DoesNotContain('#', Ink(sheet, SKRectI.Create(Margin + (panel * (Panel + Gap)) + Panel, Top + Panel, Gap, Words)));
        Assert.Contains('#', Ink(sheet, SKRectI.Create(Margin, Margin, Panel, Title - 8))); // the answer's text
        Assert.Contains('#', Ink(sheet, SKRectI.Create(Margin, sheet.Height - Legend, Panel, Legend)));
        Assert.Equal(labels, await Again()); // equal texts give equal labels

        async Task<List<string>> Again()
        {
            var (again, _) = await DrawAsync(Of([.. texts.Select(text => Tokens(text, UpperRight))]), null, Vision());
            return [.. texts.Select((_, panel) =>
                Ink(again, SKRectI.Create(Margin + (panel * (Panel + Gap)), Top + Panel, Panel, Words)))];
        }
    }

    /// <summary>The texts of tokens come with their log-probabilities; the text of an event is of all tokens in it.</summary>
    [Fact]
    public void The_words_of_a_panel_are_the_text_of_its_token()
    {
        var several = new AnswerTokens(" small ring", [7, 8, 9])
        {
            Attention = [UpperLeft, null, LowerRight],
            LogProbabilities = [.. new[] { " small", " ri", "ng" }.Select(text => Known(1, text))],
        };
        Assert.Equal(["small", "ng"], Looks(new AnswerSample([several]), Model(Vision()).Language).Select(look => look.Label.Text));
        var untold = several with { LogProbabilities = [] };
        Assert.Equal(["small ring", "#9"], Looks(new AnswerSample([untold]), Model(Vision()).Language).Select(look => look.Label.Text));
    }

    [Fact]
    public async Task Tokens_that_saw_no_picture_leave_no_sheet()
    {
        var error = new StringWriter();
        await WriteAsync(_folder.File("maps.png"), Of([Tokens("a", null)]), null, Model(Vision()), error);
        Assert.Contains("not written", error.ToString(), StringComparison.Ordinal);
        Assert.False(File.Exists(_folder.File("maps.png")));
    }

    [Fact]
    public void Sheets_of_a_conversation_are_numbered() =>
        Assert.Equal(Path.Combine("some", "maps-2.png"), Numbered(Path.Combine("some", "maps.png"), 2));

    private static VisionEncoderDescription Vision() =>
        new("model", "weights", "pixels", ImageSize: 64, Patches: 4, Width: 8, PooledWidth: 0, TensorDtype.Float32, 1, 1, 1);

    private static FlamingoModel Model(VisionEncoderDescription vision) => new(
        vision, new("model", "weights", 8, 4, 8, 1, TensorDtype.Float32, 1),
        new("model", "weights", 512, 1024, 4, 8, "<image>", ["<image>"], "<|endofchunk|>", 8));

    private static TokenLogProbability Known(int id, string text) => new(id, -1, []) { Texts = [Encoding.UTF8.GetBytes(text)] };

    private static AnswerTokens Tokens(string text, TokenAttention? attention) =>
        new(text, [1]) { Attention = [attention], LogProbabilities = [Known(1, text)] };

    private static Answer Of(params AnswerTokens[][] samples) => new(
        [.. samples.Select(parts => new AnswerSample(parts))], new PicturesResolved([], default, default, default),
        new(FinishReason.Stop, 7, 4, 0, new(default, default, default, default, default, default), new("v", "r", "l")));

    private static TokenAttention Map(params float[] map) =>
        new(0, TensorData.FromFloats([1], 1)) { Map = TensorData.FromFloats(map, 2, 2) };

    // A part of the sheet as text: '#' where something is written.
    private static string Ink(SKBitmap sheet, SKRectI part) => string.Concat(
        from y in Enumerable.Range(part.Top, part.Height)
        from x in Enumerable.Range(part.Left, part.Width)
        select sheet.GetPixel(x, y).Green < 200 ? '#' : '.');

    /// <summary>
    /// A displayed picture of 192 × 64 pixels with 64 transparent, 32 red and 96 blue columns, in a WebP file of 64 × 192 pixels whose EXIF
    /// orientation is 6.
    /// </summary>
    private static byte[] OnItsSide()
    {
        using var bitmap = new SKBitmap(new SKImageInfo(64, 192, SKColorType.Rgba8888, SKAlphaType.Unpremul));
        for (var row = 0; row < 192; row++)
            for (var column = 0; column < 64; column++)
                bitmap.SetPixel(column, row, (191 - row) switch { < 64 => new(0, 0, 0, 0), < 96 => SKColors.Red, _ => SKColors.Blue });
        using var pixels = bitmap.PeekPixels();
        var still = pixels.Encode(new SKWebpEncoderOptions(SKWebpEncoderCompression.Lossless, 50))!.ToArray();
        byte[] exif = [.. "MM"u8, 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0];
        byte[] head = [.. "WEBPVP8X"u8, 10, 0, 0, 0, 0x18, 0, 0, 0, 63, 0, 0, 191, 0, 0];
        var chunks = still[(still.AsSpan(12).StartsWith("VP8X"u8) ? 30 : 12)..];
        byte[] body = [.. head, .. chunks, .. "EXIF"u8, (byte)exif.Length, 0, 0, 0, .. exif];
        return [.. "RIFF"u8, .. BitConverter.GetBytes(body.Length), .. body];
    }

    private async Task<(SKBitmap Sheet, string Error)> DrawAsync(Answer answer, FlamingoVisual? picture, VisionEncoderDescription vision)
    {
        var error = new StringWriter();
        await WriteAsync(_folder.File("maps.png"), answer, picture, Model(vision), error);
        return (SKBitmap.Decode(_folder.File("maps.png")), error.ToString());
    }
}
