using Flamingo.Checkpoints;
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
    /// <summary>Enters latent keys: raise it whenever a change here or in decoding would change pixels.</summary>
    public const string Version = "1";

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

    private Tensor DropAlpha(DecodedPicture picture)
    {
        var rgba = tensor(picture.Rgba, [picture.Height, picture.Width, 4], ScalarType.Byte); // [height, width, 4]
        var rgb = rgba.slice(2, 0, 3, 1);
        if (config.Preprocessing.Alpha == "white")
        {
            var alpha = rgba.slice(2, 3, 4, 1).to(ScalarType.Float32).div(255);
            rgb = rgb.to(ScalarType.Float32).mul(alpha).add(alpha.mul(-255).add(255)).round().to(ScalarType.Byte);
        }

        return rgb.permute(2, 0, 1).unsqueeze(0).contiguous();
    }
}
