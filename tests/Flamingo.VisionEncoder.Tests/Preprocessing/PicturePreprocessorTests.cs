using System.Text.Json;
using Flamingo.Checkpoints;
using Flamingo.Testing;
using Flamingo.VisionEncoder.Decoding;
using Flamingo.VisionEncoder.Preprocessing;
using static TorchSharp.torch;

namespace Flamingo.VisionEncoder.Tests.Preprocessing;

/// <summary>Decoding and resizing against Pillow, whose pictures stand in tests/reference/preprocessing.</summary>
public sealed class PicturePreprocessorTests(Models models, ITestOutputHelper output)
{
    private static readonly string Folder = RepositoryFiles.Path("tests", "reference", "preprocessing");

    public static TheoryData<string, int, string> Cases
    {
        get
        {
            var cases = new TheoryData<string, int, string>();
            using var json = JsonDocument.Parse(File.ReadAllText(Path.Combine(Folder, "cases.json")));
            foreach (var item in json.RootElement.GetProperty("cases").EnumerateArray())
            {
                var file = item.GetProperty("file").GetString()!;
                foreach (var size in new[] { 64, 224 })
                    if (item.TryGetProperty($"open_clip.{size}", out var expected)) cases.Add(file, size, expected.GetString()!);
                cases.Add(file, 64, item.GetProperty("idefics.64").GetString()!);
            }

            return cases;
        }
    }

    /// <summary>
    /// torch rounds its weights to 16 bits where Pillow has 22, which moves 1 value in 200 by a level and one in 10,000 by two.
    /// Pillow 13 resized 223 × 500 to 64 × 143 columns first (checked: bit-identical so), torch always goes rows first: up to four levels
    /// there.
    /// </summary>
    [Theory]
    [MemberData(nameof(Cases))]
    public async Task Pixels_are_Pillows_but_for_rounding(string file, int size, string expectedFile)
    {
        var idefics = expectedFile.Contains(".idefics.", StringComparison.Ordinal);
        var columnsFirst = (file, size, idefics) == ("rgb-223x500.png", 64, false);
        var expected = Rgb(File.ReadAllBytes(Path.Combine(Folder, "out", expectedFile)));
        var golden = (idefics ? Idefics : OpenClip) with { Orientation = "ignore" }; // the original code knows no orientation
        var actual = await Levels(new SkiaPictureDecoder().Decode(Golden.Input(file))!, size, golden);
        Assert.Equal(expected.Length, actual.Length);
        var differences = expected.Zip(actual, (one, other) => Math.Abs(one - other)).ToArray();
        output.WriteLine($"{file} at {size}: at most {differences.Max()}, {differences.Average():F5} on average");
        Assert.InRange(differences.Max(), 0, columnsFirst ? 4 : 2);
        var edges = idefics && file == "png-1bit.png"; // black beside white: every weight that is rounded shows
        Assert.InRange(differences.Average(), 0, columnsFirst ? 0.12 : edges ? 0.03 : 0.01);
        if (!columnsFirst) Assert.InRange(differences.Count(difference => difference > 1), 0, differences.Length / 10_000);
    }

    [Fact]
    public void The_reference_covers_every_format_and_both_sizes() => Assert.Equal(34 + 28, Cases.Count);

    /// <summary>The pixel is (10, 20, 30) with 128 of 255 of alpha.</summary>
    [Theory]
    [InlineData("drop", 10, 20, 30)]
    [InlineData("white", 132, 137, 142)]
    [InlineData("black", 5, 10, 15)]
    public async Task Alpha_is_dropped_or_laid_over_a_ground(string alpha, int red, int green, int blue)
    {
        byte[] pixel = [10, 20, 30, 128];
        var picture = new DecodedPicture(2, 3, [.. Enumerable.Repeat(pixel, 6).SelectMany(bytes => bytes)]);
        byte[] expected =
            [.. Enumerable.Repeat((byte)red, 16), .. Enumerable.Repeat((byte)green, 16), .. Enumerable.Repeat((byte)blue, 16)];
        Assert.Equal(expected, await Levels(picture, 4, OpenClip with { Alpha = alpha, Resize = "square" }));
    }

    /// <summary>What a viewer shows of pixels that lie as A B C / D E F, by EXIF's number.</summary>
    [Theory]
    [InlineData(1, 3, "ABCDEF")]
    [InlineData(2, 3, "CBAFED")]
    [InlineData(3, 3, "FEDCBA")]
    [InlineData(4, 3, "DEFABC")]
    [InlineData(5, 2, "ADBECF")]
    [InlineData(6, 2, "DAEBFC")]
    [InlineData(7, 2, "FCEBDA")]
    [InlineData(8, 2, "CFBEAD")]
    public async Task A_picture_is_turned_upright_unless_that_is_to_be_ignored(int orientation, int width, string upright)
    {
        var file = new DecodedPicture(3, 2, Rgba("ABCDEF")) { Orientation = orientation };
        var shown = new DecodedPicture(width, 6 / width, Rgba(upright));
        foreach (var resize in new[] { "shortest_side_crop", "square" })
        {
            var turning = OpenClip with { Resize = resize };
            Assert.Equal(await Levels(shown, 8, turning), await Levels(file, 8, turning));
            Assert.Equal(await Levels(file with { Orientation = 1 }, 8, turning),
                await Levels(file, 8, turning with { Orientation = "ignore" }));
        }

        static byte[] Rgba(string letters) =>
            [.. letters.SelectMany(letter =>
                new[] { (byte)(letter * 3), (byte)(255 - (letter * 2)), (byte)(letter * letter), byte.MaxValue })];
    }

    private static PreprocessingConfig OpenClip { get; } = new()
    {
        Resize = "shortest_side_crop", Alpha = "drop", Mean = [0, 0, 0], Std = [1, 1, 1],
    };

    private static PreprocessingConfig Idefics { get; } = OpenClip with { Resize = "square", Alpha = "white" };

    /// <summary>Grey levels as the preprocessor gives them, [3, size, size].</summary>
    private Task<byte[]> Levels(DecodedPicture picture, int size, PreprocessingConfig config) =>
        models.Thread.RunAsync(() => new PicturePreprocessor(size, config).Levels(picture), TestContext.Current.CancellationToken);

    /// <summary>The expected picture plane by plane; it is an RGB PNG of the final size, so that decoding it loses nothing.</summary>
    private static byte[] Rgb(byte[] file)
    {
        var picture = new SkiaPictureDecoder().Decode(file)!;
        return [
            .. Enumerable.Range(0, 3)
                .SelectMany(
                    channel => Enumerable.Range(0, picture.Width * picture.Height).Select(pixel => picture.Rgba[(pixel * 4) + channel]))
        ];
    }
}
