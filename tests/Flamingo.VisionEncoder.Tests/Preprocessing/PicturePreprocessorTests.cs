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
    /// Pillow 13 resized 223 × 500 to 64 × 143 columns first (checked: bit-identical so), torch always goes rows first: up to four levels there.
    /// </summary>
    [Theory]
    [MemberData(nameof(Cases))]
    public async Task Pixels_are_Pillows_but_for_rounding(string file, int size, string expectedFile)
    {
        var idefics = expectedFile.Contains(".idefics.", StringComparison.Ordinal);
        var columnsFirst = (file, size, idefics) == ("rgb-223x500.png", 64, false);
        var expected = Rgb(File.ReadAllBytes(Path.Combine(Folder, "out", expectedFile)));
        var actual = await Levels(Golden.Input(file), size, idefics);
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

    [Theory]
    [InlineData("drop", 10, 20, 30)]
    [InlineData("white", 132, 137, 142)]
    public async Task Alpha_is_dropped_or_laid_over_white(string alpha, int red, int green, int blue)
    {
        var config = Config(4) with { Preprocessing = Config(4).Preprocessing with { Alpha = alpha, Resize = "square" } };
        byte[] pixel = [10, 20, 30, 128];
        var picture = new DecodedPicture(2, 3, [.. Enumerable.Repeat(pixel, 6).SelectMany(bytes => bytes)]);
        var levels = await models.Thread.RunAsync(() => new PicturePreprocessor(config).Resize(picture).data<byte>().ToArray(), TestContext.Current.CancellationToken);
        byte[] expected = [.. Enumerable.Repeat((byte)red, 16), .. Enumerable.Repeat((byte)green, 16), .. Enumerable.Repeat((byte)blue, 16)];
        Assert.Equal(expected, levels);
    }

    private static VisionConfig Config(int size) => new()
    {
        ImageSize = size,
        PatchSize = 1,
        Width = 1,
        Layers = 1,
        Heads = 1,
        FeedForwardWidth = 1,
        PooledWidth = 0,
        Activation = "quick_gelu",
        Preprocessing = new() { Resize = "shortest_side_crop", Alpha = "drop", Mean = [0, 0, 0], Std = [1, 1, 1] },
    };

    /// <summary>Grey levels as the preprocessor gives them, [3, size, size].</summary>
    private Task<byte[]> Levels(byte[] file, int size, bool idefics) => models.Thread.RunAsync(
        () => new PicturePreprocessor(idefics ? Config(size) with { Preprocessing = Config(size).Preprocessing with { Resize = "square", Alpha = "white" } } : Config(size)).Resize(new PictureDecoder().Decode(file)!).contiguous().data<byte>().ToArray(), TestContext.Current.CancellationToken);

    /// <summary>The expected picture plane by plane; it is an RGB PNG of the final size, so that decoding it loses nothing.</summary>
    private static byte[] Rgb(byte[] file)
    {
        var picture = new PictureDecoder().Decode(file)!;
        return [.. Enumerable.Range(0, 3).SelectMany(channel => Enumerable.Range(0, picture.Width * picture.Height).Select(pixel => picture.Rgba[(pixel * 4) + channel]))];
    }
}
