using Flamingo.Abstractions;
using Flamingo.Cli.Evaluating;
using Flamingo.Cli.Tests.Running;
using SkiaSharp;

namespace Flamingo.Cli.Tests.Evaluating;

public sealed class ThumbnailsTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    [Fact]
    public void A_photograph_becomes_a_small_jpeg_of_the_same_proportions()
    {
        var file = Written(Encoded(900, 600, SKEncodedImageFormat.Jpeg, (x, y) => new SKColor((byte)(x * 7), (byte)(x * y), (byte)(y * 3))));
        var small = Make(file)!;
        Assert.Equal([0xFF, 0xD8], small[..2]);
        Assert.InRange(small.Length, 1, 20_000);
        using var decoded = SKBitmap.Decode(small);
        Assert.Equal((160, 107), (decoded.Width, decoded.Height));
    }

    [Fact]
    public void A_small_drawing_stays_a_png_of_its_size()
    {
        var small = Make(Written(Encoded(40, 30, SKEncodedImageFormat.Png, (x, _) => x < 20 ? SKColors.Red : SKColors.Blue)))!;
        Assert.Equal("PNG"u8.ToArray(), small[1..4]);
        using var decoded = SKBitmap.Decode(small);
        Assert.Equal((40, 30, SKColors.Red, SKColors.Blue), (decoded.Width, decoded.Height, decoded.GetPixel(0, 0), decoded.GetPixel(39, 29)));
    }

    [Fact]
    public void A_picture_is_turned_as_the_model_turns_it()
    {
        // Orientation 6: the first row of the file is the right side of the picture.
        byte[] exif =
        [
            0xFF, 0xE1, 0, 34, .. "Exif\0\0II"u8, 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 0x01, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0,
        ];
        var plain = Encoded(64, 32, SKEncodedImageFormat.Jpeg, (_, y) => y < 16 ? SKColors.Red : SKColors.Blue);
        var file = Written([.. plain[..2], .. exif, .. plain[2..]]);
        using var ignored = SKBitmap.Decode(Make(file, "ignore"));
        using var turned = SKBitmap.Decode(Make(file, "exif"));
        Assert.Equal((64, 32), (ignored.Width, ignored.Height));
        Assert.Equal((32, 64), (turned.Width, turned.Height));
        Assert.True(turned.GetPixel(28, 32).Red > 200 && turned.GetPixel(4, 32).Blue > 200);
    }

    [Fact]
    public void A_file_that_is_no_picture_has_none_nor_has_one_that_the_model_would_refuse()
    {
        Assert.Null(Make(Written("not a picture"u8.ToArray())));
        Assert.Null(Make(Written(Encoded(40, 30, SKEncodedImageFormat.Png, (_, _) => SKColors.Red)[..50])));
        Assert.Null(Make(Written(Encoded(2000, 600, SKEncodedImageFormat.Png, (_, _) => SKColors.Red))));
        Assert.Throws<FileNotFoundException>(() => Make(_folder.File("nowhere.jpg")));
    }

    public void Dispose() => _folder.Dispose();

    private static byte[]? Make(string file, string orientation = "ignore") => new Thumbnails(
        new VisionEncoderDescription("m", "d", "1", 64, 16, 32, 32, TensorDtype.Float32, 1_000_000, 10_000_000, 8)
        {
            Orientation = orientation,
        }).Make(file);

    private string Written(byte[] bytes)
    {
        var file = _folder.File("picture");
        File.WriteAllBytes(file, bytes);
        return file;
    }

    private static byte[] Encoded(int width, int height, SKEncodedImageFormat format, Func<int, int, SKColor> colour)
    {
        using var bitmap = new SKBitmap(new SKImageInfo(width, height, SKColorType.Rgba8888, SKAlphaType.Opaque));
        bitmap.Pixels = [.. Enumerable.Range(0, width * height).Select(place => colour(place % width, place / width))];
        using var data = bitmap.Encode(format, 90);
        return data.ToArray();
    }
}
