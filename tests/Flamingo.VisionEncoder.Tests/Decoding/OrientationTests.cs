using Flamingo.VisionEncoder.Decoding;

namespace Flamingo.VisionEncoder.Tests.Decoding;

public sealed class SkiaOrientationTests() : OrientationTests(new SkiaPictureDecoder());

public sealed class ImageSharpOrientationTests() : OrientationTests(new ImageSharpPictureDecoder());

/// <summary>Tests with both decoders that the EXIF orientation of a file is reported and does not change the decoded pixels.</summary>
public abstract class OrientationTests(IPictureDecoder decoder)
{
    public static TheoryData<string, string> Kinds => new()
    {
        { "jpeg", "jpeg-444.jpg" }, { "png", "rgb-7x5.png" }, { "webp", "webp-lossy.webp" },
    };

    [Theory, MemberData(nameof(Kinds))]
    public void Every_orientation_is_told_in_both_byte_orders(string kind, string name)
    {
        var plain = decoder.Decode(Golden.Input(name))!;
        Assert.Equal(1, plain.Orientation);
        for (var orientation = 1; orientation <= 8; orientation++)
        {
            foreach (var littleEndian in new[] { false, true })
            {
                var file = ExifFiles.With(orientation, kind, Golden.Input(name), littleEndian);
                var picture = decoder.Decode(file)!;
                Assert.Equal(orientation, picture.Orientation);
                Assert.Equal((plain.Width, plain.Height), (picture.Width, picture.Height));
                Assert.Equal(plain.Rgba, picture.Rgba);
                Assert.Equal((plain.Width, plain.Height), decoder.ReadSize(file));
            }
        }
    }

    [Theory, MemberData(nameof(Kinds))]
    public void An_orientation_that_is_none_is_the_first(string kind, string name)
    {
        foreach (var wrong in new[] { 0, 9, 255 })
            Assert.Equal(1, decoder.Decode(ExifFiles.With(wrong, kind, Golden.Input(name)))!.Orientation);
    }

    [Fact]
    public void Every_frame_of_an_animation_has_the_orientation_of_its_file()
    {
        var file = ExifFiles.With(6, "webp", Animations.WebP(8, 4, 1, 2, 3));
        Assert.Equal(3, decoder.CountFrames(file));
        Assert.Equal([6, 6], decoder.DecodeFrames(file, [0, 2]).Select(frame => frame!.Orientation));
    }

    [Fact]
    public void The_reference_file_is_rotated() => Assert.Equal(6, decoder.Decode(Golden.Input("jpeg-exif-rotated.jpg"))!.Orientation);

    [Theory, MemberData(nameof(Kinds))]
    public void Damaged_exif_data_never_crashes(string kind, string name)
    {
        var (random, original) = (new Random(5), ExifFiles.With(6, kind, Golden.Input(name)));
        var exif = kind == "webp" ? original.Length - 26 : kind == "png" ? 41 : 12;
        for (var round = 0; round < 300; round++)
        {
            var file = original.ToArray();
            for (var change = 0; change < 3; change++) file[exif + random.Next(26)] = (byte)random.Next(256);
            if (decoder.Decode(file) is { } picture) Assert.InRange(picture.Orientation, 1, 8);
        }
    }
}
