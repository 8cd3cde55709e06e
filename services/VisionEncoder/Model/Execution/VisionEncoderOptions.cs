using System.ComponentModel.DataAnnotations;

namespace Flamingo.VisionEncoder.Execution;

/// <summary>Limits of the stage; section <c>VisionEncoder</c>.</summary>
public sealed class VisionEncoderOptions
{
    public const string Section = "VisionEncoder";

    /// <summary>Largest width × height by a file's header, checked before anything is decoded.</summary>
    [Range(1, 1_000_000_000)]
    public long MaxPixels { get; set; } = 50_000_000;

    /// <summary>Largest encoded file in bytes.</summary>
    [Range(64, 1 << 30)]
    public int MaxPictureBytes { get; set; } = 20 << 20;

    /// <summary>Longest side over shortest side.</summary>
    [Range(1, 10_000)]
    public int MaxAspectRatio { get; set; } = 200;

    /// <summary>Most pictures in one call.</summary>
    [Range(1, 4096)]
    public int MaxPictures { get; set; } = 64;

    /// <summary>Pictures in one forward pass; more are computed in turns, so that memory stays bounded.</summary>
    [Range(1, 256)]
    public int BatchSize { get; set; } = 8;
}
