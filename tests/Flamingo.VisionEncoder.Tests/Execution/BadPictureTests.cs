using Flamingo.Abstractions;
using Flamingo.Stages;
using Flamingo.VisionEncoder.Decoding;
using Flamingo.VisionEncoder.Execution;
using Flamingo.VisionEncoder.Tests.Decoding;

namespace Flamingo.VisionEncoder.Tests.Execution;

public sealed class SkiaBadPictureTests(Models models) : BadPictureTests(models, new SkiaPictureDecoder());

public sealed class ImageSharpBadPictureTests(Models models) : BadPictureTests(models, new ImageSharpPictureDecoder());

/// <summary>Tests the faults that the stage reports for pictures that it refuses, with both decoders.</summary>
public abstract class BadPictureTests(Models models, IPictureDecoder decoder)
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private static byte[] Good => Golden.Input("rgb-64x64.png");

    [Fact]
    public async Task All_bad_pictures_of_a_call_are_named_at_once()
    {
        var faults = await Faults(
            new(), Good, [], [1, 2, 3], Good, Png.Header(100_000, 100_000), Png.Header(0, 5), Png.Header(5, 0), "GIF89a"u8.ToArray());
        Assert.Equal(["pictures[1]", "pictures[2]", "pictures[4]", "pictures[5]", "pictures[6]", "pictures[7]"],
            faults.Select(fault => fault.Field));
        Assert.All(faults, fault => Assert.NotEmpty(fault.Remedy));
        Assert.Contains("100000", faults[2].Problem, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("rgb-320x240.png")]
    [InlineData("png-palette.png")]
    [InlineData("jpeg-420.jpg")]
    [InlineData("jpeg-progressive.jpg")]
    [InlineData("webp-lossy.webp")]
    [InlineData("webp-lossless.webp")]
    [InlineData("gif.gif")]
    [InlineData("bmp.bmp")]
    public async Task Truncated_files_are_refused_by_name(string name)
    {
        var file = Golden.Input(name);
        Assert.Empty(await FaultsOrNone(new(), file));
        foreach (var percent in new[] { 1, 10, 50, 90 })
            Assert.Equal("pictures[1]", Assert.Single(await Faults(new(), Good, file[..(file.Length * percent / 100)])).Field);
    }

    [Fact]
    public async Task Damaged_pictures_of_different_batches_are_named_together()
    {
        var cut = Golden.Input("jpeg-420.jpg")[..1500];
        var faults = await Faults(new() { BatchSize = 2 }, Good, cut, Good, Good, cut);
        Assert.Equal(["pictures[1]", "pictures[4]"], faults.Select(fault => fault.Field));
    }

    [Fact]
    public async Task Limits_are_the_operators()
    {
        Assert.Contains("64 × 64", Assert.Single(await Faults(new() { MaxPixels = 4095 }, Good)).Problem, StringComparison.Ordinal);
        Assert.Empty(await FaultsOrNone(new() { MaxPixels = 4096 }, Good));
        Assert.Contains($"{Good.Length} bytes", Assert.Single(await Faults(new() { MaxPictureBytes = Good.Length - 1 }, Good)).Problem,
            StringComparison.Ordinal);
        Assert.Empty(await FaultsOrNone(new() { MaxPictureBytes = Good.Length }, Good));
        Assert.Equal("pictures", Assert.Single(await Faults(new() { MaxPictures = 2 }, Good, Good, Good)).Field);
        Assert.Equal("pictures", Assert.Single(await Faults(new())).Field);
        Assert.Equal("pictures[0]", Assert.Single(await Faults(new() { MaxAspectRatio = 149 }, Golden.Input("rgb-2x300.png"))).Field);
    }

    [Fact]
    public void An_animation_gives_its_first_frame()
    {
        Assert.Equal((130, 101), decoder.ReadSize(Golden.Input("gif-animated.gif")));
        Assert.Equal(130 * 101 * 4, decoder.Decode(Golden.Input("gif-animated.gif"))!.Rgba.Length);
    }

    [Fact]
    public void Mutated_files_decode_or_are_refused_and_never_crash()
    {
        foreach (var name in new[] { "png-palette.png", "jpeg-progressive.jpg", "webp-lossy.webp", "webp-lossless.webp", "gif.gif",
            "bmp.bmp" })
        {
            var random = new Random(7);
            for (var round = 0; round < 40; round++)
            {
                var file = Golden.Input(name);
                for (var change = 0; change < 4; change++) file[random.Next(file.Length)] = (byte)random.Next(256);
                if (decoder.ReadSize(file) is not var (width, height) || (long)width * height > 1_000_000) continue;
                if (decoder.Decode(file) is { } picture) Assert.Equal(picture.Width * picture.Height * 4, picture.Rgba.Length);
            }
        }
    }

    /// <summary>First bytes of a file in hexadecimal, the name of the format in the fault, and a word of the remedy.</summary>
    public static TheoryData<string, string, string> Foreign => new()
    {
        { "00000018 66747970 68656963 00000000 6D696631 68656963", "HEIC", "JPEG" },
        { "00000018 66747970 6D696631 00000000 6D696631 68656963", "HEIC", "JPEG" },
        { "0000001C 66747970 6D696631 00000000 6D696631 61766966 6D696166", "AVIF", "JPEG" },
        { "0000001C 66747970 61766966 00000000 61766966 6D696631 6D696166", "AVIF", "JPEG" },
        { "00000020 66747970 69736F6D 00000200 69736F6D 69736F32 61766331 6D703431", "MP4", "frames" },
        { "00000014 66747970 71742020 20050300 71742020", "QuickTime", "frames" },
        { "1A45DFA3 9F428681", "WebM", "frames" },
        { "52494646 00000000 41564920 4C495354", "AVI", "frames" },
        { "49492A00 08000000", "TIFF", "JPEG" },
        { "4D4D002A 00000008", "TIFF", "JPEG" },
        { "0000000C 4A584C20 0D0A870A", "JPEG XL", "JPEG" },
        { "FF0A FA1F", "JPEG XL", "JPEG" },
        { "0000000C 6A502020 0D0A870A", "JPEG 2000", "JPEG" },
        { "38425053 0001", "Photoshop", "JPEG" },
        { "1F8B0800", "gzip", "Unpack" },
        { "504B0304 1400", "ZIP", "Unpack" },
        { Hex("%PDF-1.7\n"), "PDF", "PNG" },
        { Hex("<?xml version='1.0'?>\n<!-- drawn by hand -->\n<svg xmlns='http://www.w3.org/2000/svg'/>"), "SVG", "PNG" },
        { Hex("<!DOCTYPE html><title>404</title>"), "web page", "address" },
        { Hex("version https://git-lfs.github.com/spec/v1\noid sha256:0"), "Git LFS", "git lfs pull" },
        { Hex("data:image/png;base64,iVBORw0KGgo="), "data URL", "bytes" },
        { Hex("iVBORw0KGgoAAAANSUhEUg=="), "base64", "bytes" },
    };

    [Theory, MemberData(nameof(Foreign))]
    public async Task Other_formats_are_refused_by_name_and_with_a_remedy(string head, string name, string remedy)
    {
        var fault = Assert.Single(await Faults(new(), Convert.FromHexString(head.Replace(" ", "", StringComparison.Ordinal))));
        Assert.Equal("pictures[0]", fault.Field);
        Assert.Contains(name, fault.Problem, StringComparison.Ordinal);
        Assert.Contains(remedy, fault.Remedy, StringComparison.Ordinal);
    }

    /// <summary>These files are valid, and the libraries could read them, but the stage does not support their formats.</summary>
    [Fact]
    public async Task What_nothing_promises_is_refused()
    {
        var png = Golden.Input("rgb-64x64.png");
        byte[] icon = [0, 0, 1, 0, 1, 0, 64, 64, 0, 0, 1, 0, 32, 0, .. BitConverter.GetBytes(png.Length), 22, 0, 0, 0, .. png];
        Assert.Contains("ICO", Assert.Single(await Faults(new(), icon)).Problem, StringComparison.Ordinal);
        byte[] wirelessBitmap = [0, 0, 8, 8, .. Enumerable.Repeat((byte)0xAA, 8)];
        Assert.Contains("JPEG, PNG, WebP, GIF or BMP", Assert.Single(await Faults(new(), wirelessBitmap)).Remedy, StringComparison.Ordinal);
        byte[] portableMap = [.. "P6\n2 1\n255\n"u8, 1, 2, 3, 4, 5, 6];
        Assert.Contains("JPEG, PNG, WebP, GIF or BMP", Assert.Single(await Faults(new(), portableMap)).Remedy, StringComparison.Ordinal);
    }

    private static string Hex(string text) => Convert.ToHexString(System.Text.Encoding.ASCII.GetBytes(text));

    private async Task<IReadOnlyList<FieldFault>> Faults(VisionEncoderOptions options, params byte[][] pictures)
    {
        var faults = await FaultsOrNone(options, pictures);
        Assert.NotEmpty(faults);
        return faults;
    }

    private async Task<IReadOnlyList<FieldFault>> FaultsOrNone(VisionEncoderOptions options, params byte[][] pictures)
    {
        using var stage = models.NewStage(models.DirectoryOf("mpt1b"), options, decoder: decoder);
        try
        {
            await stage.EncodeAsync(new([.. pictures.Select(picture => VisualInput.Still(picture))]), Cancellation);
            return [];
        }
        catch (FlamingoException exception) when (exception.Kind == FlamingoErrorKind.InvalidArgument)
        {
            return exception.Faults;
        }
    }
}
