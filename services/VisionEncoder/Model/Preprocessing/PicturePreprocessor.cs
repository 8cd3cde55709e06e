using System.Text.Json;
using Flamingo.Checkpoints;
using Flamingo.Modeling.Weights;
using Flamingo.Modeling.Tensors;
using Flamingo.VisionEncoder.Decoding;
using static TorchSharp.torch;

namespace Flamingo.VisionEncoder.Preprocessing;

/// <summary>
/// Computes the input of the vision tower from a decoded picture. It follows image_transform of open_clip 2.20 (the short side is resized
/// with bicubic interpolation, and the centre is cut out) and IdeficsImageProcessor of transformers (the picture is resized to a square and
/// laid over white). It resizes with torch's antialiased bicubic interpolation on uint8, which equals Pillow's within one grey level.
/// Unlike the two originals, it first turns a picture upright by its EXIF orientation, unless the configuration says <c>ignore</c>.
/// </summary>
/// <param name="size">Side of the picture that the vision tower sees, in pixels.</param>
public sealed class PicturePreprocessor(int size, PreprocessingConfig config)
{
    /// <summary>Version of preprocessing and decoding. A change of either that changes pixels must raise it.</summary>
    private const int CodeVersion = 2;

    /// <summary>
    /// Returns a text that identifies this code, the decoder and the configuration of preprocessing. It is part of latent keys.
    /// </summary>
    /// <param name="decoder">See <see cref="IPictureDecoder.Name"/>.</param>
    public string Version(string decoder) =>
        $"{CodeVersion}-{decoder}-{ComputedDigest.Hash($"{size} {JsonSerializer.Serialize(config)}")[..32]}";

    /// <summary>
    /// Computes the pixels that the stage keeps of a picture while the picture waits for its batch. The decoded picture is no longer needed
    /// afterwards.
    /// </summary>
    /// <returns>Levels from 0 to 255, plane by plane: [3, size, size].</returns>
    public byte[] Levels(DecodedPicture picture)
    {
        using var scope = NewDisposeScope();
        return Resize(picture).contiguous().bytes.ToArray();
    }

    /// <summary>Makes a picture opaque and upright and resizes it. Returns uint8 [3, size, size].</summary>
    public Tensor Resize(DecodedPicture picture)
    {
        var rgb = Planes(picture);                                                            // [1, 3, height, width]
        var (height, width) = ((int)rgb.shape[2], (int)rgb.shape[3]);
        // Pillow resizes one side after the other and begins with the side that gives the smaller intermediate picture.
        if (config.Resize == "square") return Bicubic(height > width ? Bicubic(rgb, size, width) : rgb, size, size)[0];

        // open_clip's _resize rounds the long side down; it is never shorter than the short side.
        (height, width) = height <= width
            ? (size, (int)((long)size * width / height))
            : ((int)((long)size * height / width), size);
        var resized = Bicubic(rgb, height, width);
        var top = (int)Math.Round((height - size) / 2.0, MidpointRounding.ToEven);
        var left = (int)Math.Round((width - size) / 2.0, MidpointRounding.ToEven);
        return resized[0].slice(1, top, top + size, 1).slice(2, left, left + size, 1);        // [3, size, size]
    }

    /// <summary>Scales levels to values between 0 and 1 and normalises them. Returns f32 [batch, 3, size, size].</summary>
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

    // The planes are bytes, because floats of a large picture would take gigabytes.
    private Tensor Planes(DecodedPicture picture)
    {
        var (width, height) = UprightSize(picture, config.Orientation);
        var planes = empty([1, 3, height, width], ScalarType.Byte, CPU);
        WritePlanes(picture, config.Orientation, config.Alpha, planes.bytes);
        return planes;
    }

    /// <summary>Returns the size of a picture after it was turned upright.</summary>
    /// <param name="picture">The decoded picture.</param>
    /// <param name="orientation">See <see cref="PreprocessingConfig.Orientation"/>.</param>
    public static (int Width, int Height) UprightSize(DecodedPicture picture, string orientation) =>
        orientation != "ignore" && picture.Orientation >= 5 ? (picture.Height, picture.Width) : (picture.Width, picture.Height);

    /// <summary>Makes a picture upright and opaque. This method does not use torch.</summary>
    /// <param name="picture">The decoded picture.</param>
    /// <param name="orientation">See <see cref="PreprocessingConfig.Orientation"/>.</param>
    /// <param name="alpha">See <see cref="PreprocessingConfig.Alpha"/>.</param>
    /// <param name="planes">Receives the levels plane by plane: [3, height, width] of <see cref="UprightSize"/>.</param>
    public static void WritePlanes(DecodedPicture picture, string orientation, string alpha, Span<byte> planes)
    {
        var (columns, rows) = (picture.Width, picture.Height);
        // `first` is the index in the file of the top left pixel of the upright picture. `right` and `down` are the distances in the file
        // to the next pixel on the right and to the next pixel below.
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
        float? background = alpha switch { "white" => 255, "black" => 0, _ => null };
        var (pixels, pixel) = (width * height, 0);
        ReadOnlySpan<byte> rgba = picture.Rgba;
        for (var y = 0; y < height; y++)
        {
            for (var x = 0; x < width; x++, pixel++)
            {
                var seen = rgba.Slice((first + (y * down) + (x * right)) * 4, 4);
                for (var channel = 0; channel < 3; channel++)
                    planes[(channel * pixels) + pixel] = background is { } level ? Over(level, seen[channel], seen[3]) : seen[channel];
            }
        }
    }

    private static byte Over(float background, byte level, byte alpha)
    {
        var share = alpha / 255f;
        return (byte)MathF.Round((level * share) + (background - (background * share)), MidpointRounding.ToEven);
    }
}
