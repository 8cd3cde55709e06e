using System.Text.Json;
using Flamingo.Checkpoints;
using Flamingo.Modeling.Weights;
using Flamingo.Modeling.Tensors;
using Flamingo.VisionEncoder.Decoding;
using static TorchSharp.torch;

namespace Flamingo.VisionEncoder.Preprocessing;

/// <summary>
/// Pixels as the vision tower expects them. Follows open_clip 2.20's image_transform (short side to S by bicubic,
/// centre crop) and transformers' IdeficsImageProcessor (square, alpha over white); resizing is torch's antialiased
/// bicubic on uint8, which equals Pillow's within one grey level. Unlike both, it turns a picture upright first by the
/// orientation that EXIF tells, unless the configuration says that the orientation is to be ignored.
/// </summary>
/// <param name="size">Side of the picture that the vision tower sees, in pixels.</param>
public sealed class PicturePreprocessor(int size, PreprocessingConfig config)
{
    /// <summary>Raise it whenever a change here or in decoding would change pixels.</summary>
    private const int CodeVersion = 2;

    /// <summary>Enters latent keys: this code, the decoder and everything in the configuration that shapes pixels.</summary>
    /// <param name="decoder">See <see cref="IPictureDecoder.Name"/>.</param>
    public string Version(string decoder) =>
        $"{CodeVersion}-{decoder}-{ComputedDigest.Hash($"{size} {JsonSerializer.Serialize(config)}")[..32]}";

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
        var rgb = Planes(picture);                                                            // [1, 3, height, width]
        var (height, width) = ((int)rgb.shape[2], (int)rgb.shape[3]);
        // of the two passes Pillow takes the one first that leaves less
        if (config.Resize == "square") return Bicubic(height > width ? Bicubic(rgb, size, width) : rgb, size, size)[0];

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
        var mean = tensor(config.Mean.ToArray(), device: levels.device).view(1, 3, 1, 1);
        var std = tensor(config.Std.ToArray(), device: levels.device).view(1, 3, 1, 1);
        return levels.to(ScalarType.Float32).div(Scalars.Of(255)).sub(mean).div(std);
    }

    private static Tensor Bicubic(Tensor image, int height, int width) =>
        image.shape[2] == height && image.shape[3] == width
            ? image
            : nn.functional.interpolate(image, [height, width], mode: InterpolationMode.Bicubic, align_corners: false, antialias: true);

    // without floats of the whole picture: a large one would take gigabytes
    private Tensor Planes(DecodedPicture picture)
    {
        var (width, height) = UprightSize(picture, config.Orientation);
        var planes = empty([1, 3, height, width], ScalarType.Byte, CPU);
        WritePlanes(picture, config.Orientation, config.Alpha, planes.bytes);
        return planes;
    }

    /// <param name="orientation">See <see cref="PreprocessingConfig.Orientation"/>.</param>
    public static (int Width, int Height) UprightSize(DecodedPicture picture, string orientation) =>
        orientation != "ignore" && picture.Orientation >= 5 ? (picture.Height, picture.Width) : (picture.Width, picture.Height);

    /// <summary>The picture upright and without alpha, before it is resized. Needs no torch.</summary>
    /// <param name="alpha">See <see cref="PreprocessingConfig.Alpha"/>.</param>
    /// <param name="planes">Takes the grey levels plane by plane, [3, height, width] of <see cref="UprightSize"/>.</param>
    public static void WritePlanes(DecodedPicture picture, string orientation, string alpha, Span<byte> planes)
    {
        var (columns, rows) = (picture.Width, picture.Height);
        // The first pixel of the upright picture, its right-hand neighbour and the one below it, as places in the file.
        var (first, right, down) = (orientation == "ignore" ? 1 : picture.Orientation) switch
        {
            2 => (columns - 1, -1, columns),
            3 => ((columns * rows) - 1, -1, -columns),
            4 => (columns * (rows - 1), 1, -columns),
            5 => (0, columns, 1),
            6 => (columns * (rows - 1), -columns, 1),
            7 => ((columns * rows) - 1, -columns, -1),
            8 => (columns - 1, columns, -1),
            _ => (0, 1, columns),
        };
        var (width, height) = UprightSize(picture, orientation);
        float? ground = alpha switch { "white" => 255, "black" => 0, _ => null };
        var (pixels, pixel) = (width * height, 0);
        ReadOnlySpan<byte> rgba = picture.Rgba;
        for (var y = 0; y < height; y++)
        {
            for (var x = 0; x < width; x++, pixel++)
            {
                var seen = rgba.Slice((first + (y * down) + (x * right)) * 4, 4);
                for (var channel = 0; channel < 3; channel++)
                    planes[(channel * pixels) + pixel] = ground is { } level ? Over(level, seen[channel], seen[3]) : seen[channel];
            }
        }
    }

    private static byte Over(float ground, byte level, byte alpha)
    {
        var share = alpha / 255f;
        return (byte)MathF.Round((level * share) + (ground - (ground * share)), MidpointRounding.ToEven);
    }
}
