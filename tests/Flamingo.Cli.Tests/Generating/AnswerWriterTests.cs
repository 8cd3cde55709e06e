using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Cli.Generating;
using Flamingo.Cli.Tests.Running;
using SkiaSharp;

namespace Flamingo.Cli.Tests.Generating;

/// <summary>Tests the output that the command writes for the events of an answer.</summary>
public sealed class AnswerWriterTests
{
    private static readonly FlamingoRequest Plain = new([new FlamingoText("x")], new SamplingParameters());

    [Fact]
    public async Task One_answer_has_the_promised_members_and_no_others()
    {
        var (output, _, _) = await WriteAsync(Plain, json: true);
        Assert.Equal(["text", "ids", "finish_reason", "prompt_tokens", "pictures", "cache", "timings"],
            JsonDocument.Parse(output).RootElement.EnumerateObject().Select(member => member.Name));
    }

    [Fact]
    public async Task What_was_asked_for_is_told()
    {
        var (output, _, _) = await WriteAsync(
            Plain with { PinPrefix = TimeSpan.FromSeconds(1), Sampling = new() { LogProbabilities = 1, Beams = 2, Samples = 2 } },
            json: true);
        var answer = JsonDocument.Parse(output).RootElement;
        Assert.Equal(["text", "ids", "finish_reason", "prompt_tokens", "pictures", "cache", "timings",
            "cached_tokens", "log_probabilities", "samples"],
            answer.EnumerateObject().Select(member => member.Name));
        Assert.Equal("a dog", answer.GetProperty("text").GetString());
        Assert.Equal("[1,2]", answer.GetProperty("ids").GetRawText());
        Assert.Equal(5, answer.GetProperty("cached_tokens").GetInt32());
        Assert.Equal("""[{"id":1,"log_probability":-0.5,"top":[{"id":1,"log_probability":-0.5}]}]""",
            answer.GetProperty("log_probabilities").GetRawText());
        var samples = answer.GetProperty("samples").EnumerateArray().ToArray();
        Assert.All(samples, sample =>
            Assert.Equal(["text", "ids", "finish_reason", "score"], sample.EnumerateObject().Select(member => member.Name).Take(4)));
        Assert.Equal(["a dog", "a cat"], samples.Select(sample => sample.GetProperty("text").GetString()));
        Assert.Equal(["stop", "length"], samples.Select(sample => sample.GetProperty("finish_reason").GetString()));
        Assert.Equal([-0.25, -0.75], samples.Select(sample => sample.GetProperty("score").GetDouble()));
    }

    /// <summary>A greedy answer has no seed; a sampled answer can be repeated with its seed.</summary>
    [Fact]
    public async Task Prompt_tokens_and_the_seed_of_a_sampled_answer_are_told()
    {
        JsonElement Read(string output) => JsonDocument.Parse(output).RootElement;
        var greedy = Read((await WriteAsync(Plain, json: true)).Output);
        Assert.Equal(7, greedy.GetProperty("prompt_tokens").GetInt32());
        Assert.False(greedy.TryGetProperty("seed", out _));
        foreach (var seed in new ulong?[] { null, ulong.MaxValue })
        {
            var sampled = Read((await WriteAsync(Plain with { Sampling = new() { Temperature = 1, Seed = seed } }, json: true)).Output);
            Assert.Equal(ulong.MaxValue, sampled.GetProperty("seed").GetUInt64());
        }
    }

    [Fact]
    public async Task Several_answers_are_a_line_each_and_the_rest_is_on_standard_error()
    {
        var (output, error, _) = await WriteAsync(Plain with { Sampling = new() { Samples = 2, LogProbabilities = 1 } }, json: false);
        Assert.Equal("a dog\na cat\n", output.ReplaceLineEndings("\n"));
        Assert.Contains("[token 1 -0.5000; likely: 1 -0.5000]", error, StringComparison.Ordinal);
        Assert.Contains("(5 cached)", error, StringComparison.Ordinal);
        Assert.Contains("scores: -0.2500, -0.7500", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_the_cache_saved_and_what_was_drawn_is_told_both_ways()
    {
        PicturesResolved resolved = new([new("p", PictureSource.Memory), new("q", PictureSource.Redis), new("r", PictureSource.Encoded)],
            default, default, default)
        {
            Cache = new(1, 1, 1, 1, TimeSpan.FromMilliseconds(12.5)), Shots = new("words", 3, [5, 0]),
        };
        var answer = JsonDocument.Parse((await WriteAsync(Plain, json: true, resolved)).Output).RootElement;
        Assert.Equal("""{"memory_hits":1,"redis_hits":1,"encoded":1,"waits":1,"saved_ms":12.5}""",
            answer.GetProperty("cache").GetRawText());
        Assert.Equal("""{"name":"words","version":3,"examples":[5,0]}""", answer.GetProperty("shots").GetRawText());
        var (_, error, _) = await WriteAsync(Plain, json: false, resolved);
        Assert.Contains(
            "; pictures: 1 memory, 1 redis, 1 encoded, 1 of them encoded by another request; cache saved 12.5 ms; shots of words version "
            + "3: 5, "
            + "0; vision", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_sheet_shows_a_panel_for_each_token_brightest_where_it_looked()
    {
        using var folder = new TemporaryFolder();
        var (_, _, whole) = await WriteAsync(Plain with { Sampling = new() { Samples = 2 } }, json: true);
        var error = new StringWriter();
        FlamingoSegment[] segments = [
            new FlamingoPicture(await File.ReadAllBytesAsync(Examples.Prompt("caption-query.png"), TestContext.Current.CancellationToken)),
            new FlamingoText("x")];
        await AttentionSheet.WriteAsync(folder.File("maps.png"), whole, segments, Vision(), error);
        // the second answer starts a row; its second token attended to nothing
        Assert.Contains("a | dog / a", error.ToString(), StringComparison.Ordinal);
        using var sheet = SKBitmap.Decode(folder.File("maps.png"));
        Assert.Equal((8 + (2 * 232), 8 + (2 * 232)), (sheet.Width, sheet.Height));
        int Red(int panel, int x, int y) =>
            sheet.GetPixel(8 + (panel * 232) + x, 8 + y).Red - sheet.GetPixel(8 + (panel * 232) + x, 8 + y).Blue;
        Assert.True(Red(0, 20, 20) > Red(0, 204, 204) + 60, "the first token looked at the upper left");
        Assert.True(Red(1, 204, 204) > Red(1, 20, 20) + 60, "the second at the lower right");
    }

    [Fact]
    public async Task Tokens_that_saw_no_picture_leave_no_sheet()
    {
        using var folder = new TemporaryFolder();
        var error = new StringWriter();
        var blind = new Answer([new AnswerSample([])], new PicturesResolved([], default, default, default), End);
        await AttentionSheet.WriteAsync(folder.File("maps.png"), blind, Plain.Segments, Vision(), error);
        Assert.Contains("not written", error.ToString(), StringComparison.Ordinal);
        Assert.False(File.Exists(folder.File("maps.png")));
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
        using var folder = new TemporaryFolder();
        var (_, _, whole) = await WriteAsync(Plain, json: true);
        FlamingoSegment[] segments = [new FlamingoPicture(OnItsSide()), new FlamingoText("x")];
        var vision = Vision() with { Orientation = orientation, Resize = resize, Alpha = alpha };
        await AttentionSheet.WriteAsync(folder.File("maps.png"), whole, segments, vision, new StringWriter());
        using var sheet = SKBitmap.Decode(folder.File("maps.png"));
        // The second token attends to the lower right, so the top of its panel has the same overlay everywhere.
        Assert.Equal(expected, $"{Name(sheet.GetPixel(8 + 232 + 10, 8 + 10))} {Name(sheet.GetPixel(8 + 232 + 214, 8 + 10))}");

        static string Name(SKColor color) => (color.Red > 40, color.Green > 40, color.Blue > 40) switch
        {
            (true, false, false) => "red",
            (false, false, true) => "blue",
            (true, true, true) => "white",
            _ => "black",
        };
    }

    private static VisionEncoderDescription Vision() =>
        new("model", "weights", "pixels", ImageSize: 64, Patches: 4, Width: 8, PooledWidth: 0, TensorDtype.Float32, 1, 1, 1);

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

    private static AnswerFinished End => new(FinishReason.Stop, 7, 4, ulong.MaxValue,
        new(default, default, default, default, default, default), new("v", "r", "l"))
    {
        CachedTokens = 5, Samples = [new(FinishReason.Stop, 2, -0.25), new(FinishReason.Length, 2, -0.75)],
    };

    private static TokenAttention Map(params float[] map) =>
        new(0, TensorData.FromFloats([1], 1)) { Map = TensorData.FromFloats(map, 2, 2) };

    private static async Task<(string Output, string Error, Answer Whole)> WriteAsync(FlamingoRequest request, bool json,
        PicturesResolved? resolved = null)
    {
        AnswerEvent[] events =
        [
            resolved ?? new PicturesResolved([new("p", PictureSource.Memory)], default, default, default),
            new AnswerTokens("a", [1]) { LogProbabilities = [new(1, -0.5f, [(1, -0.5f)])], Attention = [Map(1, 0, 0, 0)] },
            .. request.Sampling.Samples < 2 ? []
                : new AnswerEvent[] { new AnswerTokens("a", [1]) { Sample = 1, Attention = [Map(0, 1, 0, 0)] } },
            new AnswerTokens(" dog", [2]) { Attention = [Map(0, 0, 0, 1)] },
            .. request.Sampling.Samples < 2 ? [] : new AnswerEvent[] { new AnswerTokens(" cat", [3]) { Sample = 1, Attention = [null] } },
            End,
        ];
        var (output, error) = (new StringWriter(), new StringWriter());
        var whole = await new AnswerWriter(output, error, request.Sampling, json, cachedTokens: request.PinPrefix is not null).WriteAsync(
            events.ToAsyncEnumerable(), TestContext.Current.CancellationToken);
        return (output.ToString(), error.ToString(), whole);
    }
}
