using Flamingo.Abstractions;
using Flamingo.Checkpoints;
using Flamingo.Stages;
using Flamingo.VisionEncoder.Tests.Decoding;
using SkiaSharp;

namespace Flamingo.VisionEncoder.Tests.Execution;

/// <summary>Tests that the stage turns pictures upright by their EXIF orientation.</summary>
public sealed class OrientationTests(Models models)
{
    private const int Wide = 90, High = 64;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    // Every corner has another colour, so that every rotation and reflection changes the picture.
    private static int Color(int x, int y) => (x < 30 ? 1 : 2) + (y < 20 ? 10 : 0);

    private static byte[] Upright => Animations.Drawn(Wide, High, Color);

    /// <summary>
    /// The same picture as a camera that is held on its side writes it: the rows of the file are the columns of the picture, from right to
    /// left.
    /// </summary>
    private static byte[] OnItsSide => ExifFiles.With(6, "png", Animations.Drawn(High, Wide, (x, y) => Color(Wide - 1 - y, x)));

    [Fact]
    public async Task A_picture_on_its_side_has_the_features_of_the_upright_one()
    {
        PreprocessingConfig Ignoring(VisionConfig vision) => vision.Preprocessing with { Orientation = "ignore" };
        var altered = models.Altered("shapes", config =>
            config with { Vision = config.Vision with { Preprocessing = Ignoring(config.Vision) } });
        using var ignoring = models.NewStage(altered, new());
        var stage = models.Stage("shapes");
        VisualInput[] both = [VisualInput.Still(OnItsSide), VisualInput.Still(Upright)];
        var turned = (await stage.EncodeAsync(new(both), Cancellation)).Pictures;
        Assert.True(turned[0].Features.Bytes.Span.SequenceEqual(turned[1].Features.Bytes.Span));
        var taken = (await ignoring.EncodeAsync(new(both), Cancellation)).Pictures;
        Assert.False(taken[0].Features.Bytes.Span.SequenceEqual(taken[1].Features.Bytes.Span));
        Assert.True(taken[1].Features.Bytes.Span.SequenceEqual(turned[1].Features.Bytes.Span));
        Assert.Equal(("exif", "ignore"), (stage.Description.Orientation, ignoring.Description.Orientation));
    }

    [Fact]
    public async Task Every_file_of_a_clip_is_turned_by_its_own_orientation()
    {
        var stage = models.Stage("shapes");
        VisualInput[] clips = [new([OnItsSide, Upright, OnItsSide], 3), new([Upright, Upright, Upright], 3)];
        var encoded = (await stage.EncodeAsync(new(clips), Cancellation)).Pictures;
        Assert.Equal(3, encoded[0].Features.Shape[0]);
        Assert.True(encoded[0].Features.Bytes.Span.SequenceEqual(encoded[1].Features.Bytes.Span));
    }

    [Fact]
    public async Task An_animation_is_turned_as_one()
    {
        var stage = models.Stage("shapes");
        var upright = Animations.Drawn(Wide, High, Color, SKEncodedImageFormat.Webp);
        var onItsSide = Animations.Drawn(High, Wide, (x, y) => Color(Wide - 1 - y, x), SKEncodedImageFormat.Webp);
        var turned = ExifFiles.With(6, "webp", Animations.WebP(High, Wide, [onItsSide, onItsSide]));
        VisualInput[] clips = [new([turned], 2), new([Animations.WebP(Wide, High, [upright, upright])], 2)];
        var encoded = (await stage.EncodeAsync(new(clips), Cancellation)).Pictures;
        Assert.Equal(2, encoded[0].Features.Shape[0]);
        Assert.True(encoded[0].Features.Bytes.Span.SequenceEqual(encoded[1].Features.Bytes.Span));
    }
}
