using Flamingo.Testing;
using Flamingo.VisionEncoder.Decoding;
using SkiaSharp;

namespace Flamingo.VisionEncoder.Tests.Decoding;

/// <summary>Compares the pixels of ImageSharp with those of SkiaSharp, which equal Pillow's.</summary>
public sealed class ImageSharpPictureDecoderTests
{
    public static TheoryData<string> Files =>
        [.. Directory.GetFiles(RepositoryFiles.Path("tests", "reference", "preprocessing", "in")).Select(file => Path.GetFileName(file))];

    [Theory, MemberData(nameof(Files))]
    public void Pixels_are_those_of_Skia_but_for_JPEG(string name)
    {
        var expected = new SkiaPictureDecoder().Decode(Golden.Input(name))!;
        var actual = new ImageSharpPictureDecoder().Decode(Golden.Input(name))!;
        Assert.Equal((expected.Width, expected.Height, expected.Orientation), (actual.Width, actual.Height, actual.Orientation));
        if (!name.EndsWith(".jpg", StringComparison.Ordinal))
        {
            Assert.Equal(expected.Rgba, actual.Rgba);
            return;
        }

        // ImageSharp does not smooth colours that a JPEG stores at half the resolution.
        var isSubsampled = name is not ("jpeg-444.jpg" or "jpeg-gray.jpg" or "jpeg-cmyk.jpg");
        var differences = expected.Rgba.Zip(actual.Rgba, (one, other) => Math.Abs(one - other)).ToArray();
        Assert.InRange(differences.Max(), 0, isSubsampled ? 100 : 3);
        Assert.InRange(differences.Average(), 0, isSubsampled ? 10 : 0.5);
    }

    /// <summary>A lossy WebP frame has its alpha channel in a separate chunk.</summary>
    [Fact]
    public void A_frame_with_alpha_is_the_still_that_it_is_made_of()
    {
        using var bitmap = new SKBitmap(new SKImageInfo(32, 16, SKColorType.Rgba8888, SKAlphaType.Unpremul));
        for (var pixel = 0; pixel < 32 * 16; pixel++)
            bitmap.SetPixel(pixel % 32, pixel / 32, new SKColor(200, (byte)(pixel % 256), 100, (byte)(pixel / 2)));
        using var pixels = bitmap.PeekPixels();
        var still = pixels.Encode(new SKWebpEncoderOptions(SKWebpEncoderCompression.Lossy, 80))!.ToArray();
        Assert.Contains("ALPH", System.Text.Encoding.Latin1.GetString(still), StringComparison.Ordinal);
        var shown = new ImageSharpPictureDecoder().DecodeFrames(Animations.WebP(32, 16, [still]), [0]).Single()!;
        Assert.Equal(new ImageSharpPictureDecoder().Decode(still)!.Rgba, shown.Rgba);
    }

    [Fact]
    public void The_reference_has_28_files() => Assert.Equal(28, Files.Count);
}
