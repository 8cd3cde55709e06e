using System.ComponentModel.DataAnnotations;
using Flamingo.Modeling.Runtime;
using TorchSharp;

namespace Flamingo.VisionEncoder.Execution;

/// <summary>Limits of the stage; section <c>VisionEncoder</c>.</summary>
public sealed class VisionEncoderOptions
{
    public const string Section = "VisionEncoder";

    /// <summary>Torch device of this stage: cpu, cuda or cuda:N; empty for <see cref="ModelOptions.Device"/>.</summary>
    [RegularExpression(ModelOptions.Devices, ErrorMessage = "cpu, cuda or cuda:N, or nothing for that of Model:Device")]
    public string Device { get; set; } = "";

    /// <summary>Largest width × height by a file's header, checked before anything is decoded.</summary>
    [Range(1, 500_000_000)] // four bytes each must fit an array
    public long MaxPixels { get; set; } = 50_000_000;

    /// <summary>Largest picture in bytes; of a clip all its files.</summary>
    [Range(64, 1 << 30)]
    public int MaxPictureBytes { get; set; } = 20 << 20;

    /// <summary>Longest side over shortest side.</summary>
    [Range(1, 10_000)]
    public int MaxAspectRatio { get; set; } = 200;

    /// <summary>Most pictures in one call.</summary>
    [Range(1, 4096)]
    public int MaxPictures { get; set; } = 64;

    /// <summary>Most frames that a caller may have taken from one clip.</summary>
    [Range(1, 1024)]
    public int MaxFrames { get; set; } = 32;

    /// <summary>Most frames that a clip may have, in an animation or as files; checked before anything is decoded.</summary>
    [Range(1, 100_000)]
    public int MaxClipFrames { get; set; } = 1000;

    /// <summary>
    /// Most pixels of a clip that would have to be decoded: width × height × frames. A frame of an animation stands on those before it.
    /// </summary>
    [Range(1, 100_000_000_000)]
    public long MaxClipPixels { get; set; } = 500_000_000;

    /// <summary>
    /// Pictures of all calls that are decoded at once. Each takes about 20 bytes, garbage included, for every pixel that <see
    /// cref="MaxPixels"/> allows.
    /// </summary>
    [Range(1, 256)]
    public int MaxDecodes { get; set; } = Math.Min(Environment.ProcessorCount, 8);

    /// <summary>
    /// Frames in one forward pass, of one call or of several; more are computed in turns, so that memory stays bounded. 0: 8 on the CPU,
    /// 64 on a GPU.
    /// </summary>
    [Range(0, 256)]
    public int BatchSize { get; set; }

    /// <summary>How long a picture may wait for others to share its forward pass; 0: it shares with pictures that wait already.</summary>
    [Range(typeof(TimeSpan), "00:00:00", "00:00:10")]
    public TimeSpan BatchWait { get; set; } = TimeSpan.FromMilliseconds(2);

    /// <summary><see cref="BatchSize"/>, or the device's own where that is 0.</summary>
    public int BatchSizeOn(torch.Device device) => BatchSize > 0 ? BatchSize : device.type == DeviceType.CPU ? 8 : 64;
}
