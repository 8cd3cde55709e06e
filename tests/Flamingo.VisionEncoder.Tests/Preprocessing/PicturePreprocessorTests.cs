using System.Text.Json;
using Flamingo.Checkpoints;
using Flamingo.Testing;
using Flamingo.VisionEncoder.Decoding;
using Flamingo.VisionEncoder.Preprocessing;
using static TorchSharp.torch;

namespace Flamingo.VisionEncoder.Tests.Preprocessing;

/// <summary>Compares decoding and resizing with Pillow, whose results are in tests/reference/preprocessing.</summary>
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
    /// torch rounds the weights of the interpolation to 16 bits and Pillow to 22 bits. Therefore 1 value in 200 differs by a level, and 1
    /// in 10,000 differs by two. Pillow 13 resizes the columns first when it resizes 223 × 500 to 64 × 143 (the result is bit-identical in
    /// that order), whereas torch always resizes the rows first: values of that picture differ by up to four levels.
    /// </summary>
    [Theory]
    [MemberData(nameof(Cases))]
    public async Task Pixels_are_Pillows_but_for_rounding(string file, int size, string expectedFile)
    {
        var idefics = expectedFile.Contains(".idefics.", StringComparison.Ordinal);
        var columnsFirst = (file, size, idefics) == ("rgb-223x500.png", 64, false);
        var expected = Rgb(File.ReadAllBytes(Path.Combine(Folder, "out", expectedFile)));
        var golden = (idefics ? Idefics : OpenClip) with { Orientation = "ignore" }; // The original code ignores orientations.
        var actual = await Levels(new SkiaPictureDecoder().Decode(Golden.Input(file))!, size, golden);
        Assert.Equal(expected.Length, actual.Length);
        var differences = expected.Zip(actual, (one, other) => Math.Abs(one - other)).ToArray();
        output.WriteLine($"{file} at {size}: at most {differences.Max()}, {differences.Average():F5} on average");
        Assert.InRange(differences.Max(), 0, columnsFirst ? 4 : 2);
        var edges = idefics && file == "png-1bit.png"; // Rounded weights have the largest effect on edges between black and white.
        Assert.InRange(differences.Average(), 0, columnsFirst ? 0.12 : edges ? 0.03 : 0.01);
        if (!columnsFirst) Assert.InRange(differences.Count(difference => difference > 1), 0, differences.Length / 10_000);
    }

    [Fact]
    public void The_reference_covers_every_format_and_both_sizes() => Assert.Equal(34 + 28, Cases.Count);

    /// <summary>The pixel has the colour (10, 20, 30) and an alpha of 128 of 255.</summary>
    [Theory]
    [InlineData("drop", 10, 20, 30)]
    [InlineData("white", 132, 137, 142)]
    [InlineData("black", 5, 10, 15)]
    public async Task Alpha_is_dropped_or_laid_over_a_ground(string alpha, int red, int green, int blue)
    {
        byte[] pixel = [10, 20, 30, 128];
        var picture = new DecodedPicture(2, 3, [.. Enumerable.Repeat(pixel, 6).SelectMany(bytes => bytes)]);
        byte[] expected = [.. Enumerable.Repeat((byte)red, 16), .. Enumerable.Repeat((byte)green, 16),
            .. Enumerable.Repeat((byte)blue, 16)];
        Assert.Equal(expected, await Levels(picture, 4, OpenClip with { Alpha = alpha, Resize = "square" }));
    }

    /// <summary>
    /// The file has the pixels A B C in its first row and D E F in its second. Each case gives an EXIF orientation and the width and the
    /// pixels of the picture that a viewer shows.
    /// </summary>
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

    /// <summary>Returns the levels that the preprocessor computes, [3, size, size].</summary>
    private Task<byte[]> Levels(DecodedPicture picture, int size, PreprocessingConfig config) =>
        models.Thread.RunAsync(() => new PicturePreprocessor(size, config).Levels(picture), TestContext.Current.CancellationToken);

    /// <summary>Returns the expected picture plane by plane. It is an RGB PNG of the final size, so decoding it is lossless.</summary>
    private static byte[] Rgb(byte[] file)
    {
        var picture = new SkiaPictureDecoder().Decode(file)!;
        var pixels = Enumerable.Range(0, picture.Width * picture.Height);
        return [.. Enumerable.Range(0, 3).SelectMany(channel => pixels.Select(pixel => picture.Rgba[(pixel * 4) + channel]))];
    }
}
