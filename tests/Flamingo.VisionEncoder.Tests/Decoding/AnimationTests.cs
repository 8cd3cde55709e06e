using Flamingo.VisionEncoder.Decoding;
using SkiaSharp;

namespace Flamingo.VisionEncoder.Tests.Decoding;

public sealed class SkiaAnimationTests() : AnimationTests(new SkiaPictureDecoder());

public sealed class ImageSharpAnimationTests() : AnimationTests(new ImageSharpPictureDecoder());

/// <summary>Tests animations with both decoders.</summary>
public abstract class AnimationTests(IPictureDecoder decoder)
{
    /// <summary>
    /// Frames on a canvas of 8 × 4 pixels. Every disposal method is followed by every kind of next frame. <see cref="Shown"/> has the
    /// expected colours of the first row after each frame.
    /// </summary>
    private static readonly GifFrame[] Frames =
    [
        new(0, 0, 8, 4, Color: 1),
        new(0, 0, 2, 4, Color: 2),
        new(2, 0, 2, 4, Color: 3, Disposal: 3),
        new(4, 0, 2, 4, Color: 4, Disposal: 3),
        new(6, 0, 2, 4, Color: 5),
        new(0, 0, 1, 4, Color: 6, Disposal: 3),
        new(1, 0, 1, 4, Color: 7),
        new(0, 0, 8, 4, Color: 8), // This frame covers the canvas, so it depends on no other frame.
        new(3, 0, 1, 4, Color: 9),
        new(0, 0, 2, 4, Color: 10, Disposal: 3),
        new(2, 0, 2, 4, Color: 11),
    ];

    private static readonly string[] Shown =
    [
        "1 1 1 1 1 1 1 1", "2 2 1 1 1 1 1 1", "2 2 3 3 1 1 1 1", "2 2 1 1 4 4 1 1", "2 2 1 1 1 1 5 5", "6 2 1 1 1 1 5 5", "2 7 1 1 1 1 5 5",
        "8 8 8 8 8 8 8 8", "8 8 8 9 8 8 8 8", "10 10 8 9 8 8 8 8", "8 8 11 11 8 8 8 8",
    ];

    /// <summary>The test requests every subset of the frames, so that every frame is decoded after every earlier frame.</summary>
    [Fact]
    public void Frames_are_what_is_shown_whichever_are_asked_for()
    {
        var file = Animations.Gif(8, 4, Frames);
        Assert.Equal(Frames.Length, decoder.CountFrames(file));
        for (var subset = 1; subset < 1 << Frames.Length; subset++)
        {
            int[] wanted = [.. Enumerable.Range(0, Frames.Length).Where(frame => (subset >> frame & 1) == 1)];
            Assert.Equal(wanted.Select(frame => Shown[frame]), decoder.DecodeFrames(file, wanted).Select(picture => Row(picture!)));
        }
    }

    [Fact]
    public void A_cleared_frame_shows_what_has_no_color()
    {
        var file = Animations.Gif(8, 4, new GifFrame(0, 0, 8, 4, 1), new GifFrame(0, 0, 4, 4, 2, Disposal: 2), new GifFrame(6, 0, 2, 4, 3));
        var last = decoder.DecodeFrames(file, [2]).Single()!;
        Assert.Equal([0, 0, 0, 0, 255, 255, 255, 255], Enumerable.Range(0, 8).Select(pixel => last.Rgba[(pixel * 4) + 3]));
    }

    [Fact]
    public void Animated_webp_is_read_too()
    {
        var file = Animations.WebP(8, 4, 1, 2, 3, 4, 5);
        Assert.Equal((8, 4), decoder.ReadSize(file));
        Assert.Equal(5, decoder.CountFrames(file));
        Assert.Equal(["1 1 1 1 1 1 1 1", "3 3 3 3 3 3 3 3", "5 5 5 5 5 5 5 5"],
            decoder.DecodeFrames(file, [0, 2, 4]).Select(picture => Row(picture!)));
        Assert.Equal("1 1 1 1 1 1 1 1", Row(decoder.Decode(file)!));
    }

    [Fact]
    public void Frames_of_a_webp_lie_where_they_belong_and_go_as_they_say()
    {
        byte[] Still(int width, int color) => Animations.Still(width, 4, color, SKEncodedImageFormat.Webp);
        var file = Animations.WebP(
            8, 4, (0, 0, 8, 4, 2, Still(8, 1)), (2, 0, 2, 4, 0, Still(2, 2)), (4, 0, 3, 4, 1, Still(3, 3)), (0, 0, 1, 4, 2, Still(1, 4)));
        Assert.Equal(["1 1 2 2 1 1 1 1", "1 1 2 2 3 3 3 1"], decoder.DecodeFrames(file, [1, 2]).Select(picture => Row(picture!)));
        var last = decoder.DecodeFrames(file, [3]).Single()!;
        Assert.Equal([255, 255, 255, 255, 0, 0, 0, 255], Enumerable.Range(0, 8).Select(pixel => last.Rgba[(pixel * 4) + 3]));
        Assert.Equal(Animations.Palette(4), (last.Rgba[0], last.Rgba[1], last.Rgba[2]));
    }

    /// <summary>The frames have an alpha channel and lossy colours. The two libraries may differ by a grey level.</summary>
    [Fact]
    public void Transparent_frames_of_a_webp_are_laid_over_what_was_there()
    {
        byte[] Still(int color, byte alpha) => Animations.Drawn(8, 4, (_, _) => color, SKEncodedImageFormat.Webp, alpha);
        var file = Animations.WebP(
            8, 4, (0, 0, 8, 4, 2, Still(1, 255)), (0, 0, 8, 4, 0, Still(2, 128)),
            (0, 0, 8, 4, 2, Still(3, 64)), (0, 0, 8, 4, 0, Still(4, 128)));
        var shown = decoder.DecodeFrames(file, [1, 2, 3]).Select(picture => picture!.Rgba[..4]).ToArray();
        AssertNear(Over(2, 128, 1, 255), shown[0]);
        AssertNear([Animations.Palette(3).Red, Animations.Palette(3).Green, Animations.Palette(3).Blue, 64], shown[1]);
        AssertNear(Over(4, 128, 3, 64), shown[2]);

        static byte[] Over(int top, int topAlpha, int bottom, int bottomAlpha)
        {
            var (above, below) = (topAlpha / 255.0, bottomAlpha / 255.0 * (1 - (topAlpha / 255.0)));
            byte Mix(byte one, byte other) => (byte)Math.Round(((one * above) + (other * below)) / (above + below));
            var (first, second) = (Animations.Palette(top), Animations.Palette(bottom));
            var alpha = (byte)Math.Round(255 * (above + below));
            return [Mix(first.Red, second.Red), Mix(first.Green, second.Green), Mix(first.Blue, second.Blue), alpha];
        }

        static void AssertNear(byte[] expected, byte[] actual) =>
            Assert.All(expected.Zip(actual), pair => Assert.InRange(pair.Second, pair.First - 3, pair.First + 3));
    }

    [Theory]
    [InlineData("gif.gif"), InlineData("rgb-64x64.png"), InlineData("jpeg-420.jpg"), InlineData("webp-lossless.webp"),
        InlineData("bmp.bmp")]
    public void A_still_has_one_frame(string name) => Assert.Equal(1, decoder.CountFrames(Golden.Input(name)));

    [Fact]
    public void The_first_frame_alone_and_among_others_is_the_same()
    {
        var file = Golden.Input("gif-animated.gif");
        Assert.InRange(decoder.CountFrames(file), 2, 100);
        Assert.Equal(decoder.Decode(file)!.Rgba, decoder.DecodeFrames(file, [0, 1]).First()!.Rgba);
    }

    /// <summary>Skia's own decoding of a frame's dependencies is recursive and would overflow the stack.</summary>
    [Fact]
    public void A_long_animation_takes_no_stack()
    {
        var file = Animations.Gif(8, 4,
            [new(0, 0, 8, 4, 1), .. Enumerable.Range(0, 50_000)
                .Select(index => new GifFrame(index % 8, 0, 1, 4, (byte)(1 + (index % 100))))]);
        Assert.Equal("1 1 1 1 1 1 1 1", Row(decoder.DecodeFrames(file, [0, 40_000]).First()!));
        Assert.NotNull(decoder.DecodeFrames(file, [50_000]).Single());
    }

    [Fact]
    public void Damaged_animations_end_with_null_and_never_crash()
    {
        foreach (var original in new[] { Animations.Gif(8, 4, Frames), Animations.WebP(8, 4, 1, 2, 3, 4, 5),
            Golden.Input("gif-animated.gif") })
        {
            var random = new Random(11);
            for (var round = 0; round < 150; round++)
            {
                var file = original.ToArray();
                for (var change = 0; change < 3; change++) file[random.Next(file.Length)] = (byte)random.Next(256);
                if (round % 3 == 0) file = file[..random.Next(file.Length)];
                if (decoder.ReadSize(file) is not var (width, height) || (long)width * height > 1_000_000) continue;
                var frames = Enumerable.Range(0, Math.Min(20, decoder.CountFrames(file))).ToArray();
                var decoded = decoder.DecodeFrames(file, frames).ToList();
                Assert.InRange(decoded.Count, 1, frames.Length);
                Assert.All(decoded[..^1], picture => Assert.NotNull(picture));
                if (decoded.Count < frames.Length) Assert.Null(decoded[^1]);
            }
        }
    }

    private static string Row(DecodedPicture picture)
    {
        Assert.Equal((8, 4, 8 * 4 * 4), (picture.Width, picture.Height, picture.Rgba.Length));
        return string.Join(' ', Enumerable.Range(0, 8).Select(pixel =>
        {
            var seen = (picture.Rgba[pixel * 4], picture.Rgba[(pixel * 4) + 1], picture.Rgba[(pixel * 4) + 2]);
            return Enumerable.Range(1, 127).First(color => Animations.Palette(color) == seen);
        }));
    }
}
