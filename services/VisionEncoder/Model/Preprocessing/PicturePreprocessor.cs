using System.Text.Json;
using Flamingo.Checkpoints;
using Flamingo.Modeling;
using Flamingo.VisionEncoder.Decoding;
using static TorchSharp.torch;

namespace Flamingo.VisionEncoder.Preprocessing;

/// <summary>
/// Pixels as the vision tower expects them. Follows open_clip 2.20's image_transform (short side to S by bicubic,
/// centre crop) and transformers' IdeficsImageProcessor (square, alpha over white); resizing is torch's antialiased
/// bicubic on uint8, which equals Pillow's within one grey level.
/// </summary>
public sealed class PicturePreprocessor(VisionConfig config)
{
    /// <summary>Raise it whenever a change here or in decoding would change pixels.</summary>
    private const int CodeVersion = 1;

    /// <summary>Enters latent keys: this code, the decoder and everything in the configuration that shapes pixels.</summary>
    /// <param name="decoder">See <see cref="IPictureDecoder.Name"/>.</param>
    public string Version(string decoder) =>
        $"{CodeVersion}-{decoder}-{ModelRuntime.Hash($"{config.ImageSize} {JsonSerializer.Serialize(config.Preprocessing)}")[..32]}";

    /// <summary>What the stage keeps of a picture while it waits for its batch; the picture itself may go.</summary>
    /// <returns>Grey levels plane by plane, [3, size, size].</returns>
    public byte[] Levels(DecodedPicture picture)
    {
        using var scope = NewDisposeScope();
        return Resize(picture).contiguous().bytes.ToArray();
    }

    /// <summary>A picture's grey levels before scaling: uint8 [3, size, size].</summary>
    public Tensor Resize(DecodedPicture picture)
    {
        var size = config.ImageSize;
        var rgb = DropAlpha(picture);                                                         // [1, 3, height, width]
        var (height, width) = (picture.Height, picture.Width);
        // of the two passes Pillow takes the one first that leaves less
        if (config.Preprocessing.Resize == "square") return Bicubic(height > width ? Bicubic(rgb, size, width) : rgb, size, size)[0];

        // open_clip's _resize: the long side is truncated, never below the short one
        (height, width) = height <= width
            ? (size, (int)((long)size * width / height))
            : ((int)((long)size * height / width), size);
        var resized = Bicubic(rgb, height, width);
        var top = (int)Math.Round((height - size) / 2.0, MidpointRounding.ToEven);
        var left = (int)Math.Round((width - size) / 2.0, MidpointRounding.ToEven);
        return resized[0].slice(1, top, top + size, 1).slice(2, left, left + size, 1);        // [3, size, size]
    }

    /// <summary>Grey levels scaled to 0…1 and normalised: f32 [batch, 3, size, size].</summary>
    public Tensor Normalize(Tensor levels)
    {
        var mean = tensor(config.Preprocessing.Mean.ToArray(), device: levels.device).view(1, 3, 1, 1);
        var std = tensor(config.Preprocessing.Std.ToArray(), device: levels.device).view(1, 3, 1, 1);
        return levels.to(ScalarType.Float32).div(255).sub(mean).div(std);
    }

    private static Tensor Bicubic(Tensor image, int height, int width) =>
        image.shape[2] == height && image.shape[3] == width
            ? image
            : nn.functional.interpolate(image, [height, width], mode: InterpolationMode.Bicubic, align_corners: false, antialias: true);

    // plane by plane and without floats of the whole picture: a large one would take gigabytes
    private Tensor DropAlpha(DecodedPicture picture)
    {
        var (pixels, white) = (picture.Width * picture.Height, config.Preprocessing.Alpha == "white");
        var planes = empty([1, 3, picture.Height, picture.Width], ScalarType.Byte, CPU);
        var levels = planes.bytes;
        for (var channel = 0; channel < 3; channel++)
        {
            ReadOnlySpan<byte> rgba = picture.Rgba;
            var plane = levels.Slice(channel * pixels, pixels);
            for (var pixel = 0; pixel < plane.Length; pixel++)
            {
                var level = rgba[(pixel * 4) + channel];
                plane[pixel] = white ? OverWhite(level, rgba[(pixel * 4) + 3]) : level;
            }
        }

        return planes;
    }

    private static byte OverWhite(byte level, byte alpha)
    {
        var share = alpha / 255f;
        return (byte)MathF.Round((level * share) + (255 - (255 * share)), MidpointRounding.ToEven);
    }
}
