using System.Buffers.Binary;
using Flamingo.Stages;
using Flamingo.VisionEncoder.Decoding;
using Flamingo.VisionEncoder.Execution;

namespace Flamingo.VisionEncoder.Tests.Execution;

public sealed class BadPictureTests(Models models)
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private static byte[] Good => Golden.Input("rgb-64x64.png");

    [Fact]
    public async Task All_bad_pictures_of_a_call_are_named_at_once()
    {
        var faults = await Faults(new(), Good, [], [1, 2, 3], Good, Header(100_000, 100_000), Header(0, 5), Header(5, 0), "GIF89a"u8.ToArray());
        Assert.Equal(["pictures[1]", "pictures[2]", "pictures[4]", "pictures[5]", "pictures[6]", "pictures[7]"], faults.Select(fault => fault.Field));
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
        Assert.Contains($"{Good.Length} bytes", Assert.Single(await Faults(new() { MaxPictureBytes = Good.Length - 1 }, Good)).Problem, StringComparison.Ordinal);
        Assert.Empty(await FaultsOrNone(new() { MaxPictureBytes = Good.Length }, Good));
        Assert.Equal("pictures", Assert.Single(await Faults(new() { MaxPictures = 2 }, Good, Good, Good)).Field);
        Assert.Equal("pictures", Assert.Single(await Faults(new())).Field);
        Assert.Equal("pictures[0]", Assert.Single(await Faults(new() { MaxAspectRatio = 149 }, Golden.Input("rgb-2x300.png"))).Field);
    }

    [Fact]
    public void An_animation_gives_its_first_frame_and_rotation_is_ignored()
    {
        var decoder = new PictureDecoder();
        Assert.Equal((130, 101), decoder.ReadSize(Golden.Input("jpeg-exif-rotated.jpg")));
        Assert.Equal((130, 101), decoder.ReadSize(Golden.Input("gif-animated.gif")));
        Assert.Equal(130 * 101 * 4, decoder.Decode(Golden.Input("gif-animated.gif"))!.Rgba.Length);
    }

    [Fact]
    public void Mutated_files_decode_or_are_refused_and_never_crash()
    {
        var decoder = new PictureDecoder();
        foreach (var name in new[] { "png-palette.png", "jpeg-progressive.jpg", "webp-lossy.webp", "webp-lossless.webp", "gif.gif", "bmp.bmp" })
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

    private async Task<IReadOnlyList<FieldFault>> Faults(VisionEncoderOptions options, params byte[][] pictures)
    {
        var faults = await FaultsOrNone(options, pictures);
        Assert.NotEmpty(faults);
        return faults;
    }

    private async Task<IReadOnlyList<FieldFault>> FaultsOrNone(VisionEncoderOptions options, params byte[][] pictures)
    {
        using var stage = models.NewStage(models.DirectoryOf("mpt1b"), options);
        try
        {
            await stage.EncodeAsync(new([.. pictures.Select(picture => VisualInput.Still(picture))]), Cancellation);
            return [];
        }
        catch (StageException exception) when (exception.Kind == StageErrorKind.InvalidArgument)
        {
            return exception.Faults;
        }
    }

    /// <summary>A PNG that is all header: an 8-bit RGB IHDR with a right checksum, an empty IDAT, an end.</summary>
    private static byte[] Header(int width, int height)
    {
        var header = new byte[13];
        BinaryPrimitives.WriteInt32BigEndian(header, width);
        BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(4), height);
        (header[8], header[9]) = (8, 2);
        return [0x89, .. "PNG\r\n\u001a\n"u8, .. Chunk("IHDR"u8, header), .. Chunk("IDAT"u8, []), .. Chunk("IEND"u8, [])];
    }

    private static byte[] Chunk(ReadOnlySpan<byte> kind, byte[] data)
    {
        byte[] body = [.. kind, .. data];
        var chunk = new byte[body.Length + 8];
        BinaryPrimitives.WriteInt32BigEndian(chunk, data.Length);
        body.CopyTo(chunk, 4);
        BinaryPrimitives.WriteUInt32BigEndian(chunk.AsSpan(chunk.Length - 4), Crc32(body));
        return chunk;
    }

    private static uint Crc32(byte[] bytes)
    {
        var crc = uint.MaxValue;
        foreach (var value in bytes)
        {
            crc ^= value;
            for (var bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0xEDB88320u & (uint)-(int)(crc & 1));
        }

        return ~crc;
    }
}
