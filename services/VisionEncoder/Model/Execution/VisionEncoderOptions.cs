using System.ComponentModel.DataAnnotations;
using Flamingo.Modeling.Runtime;
using TorchSharp;

namespace Flamingo.VisionEncoder.Execution;

/// <summary>Device, limits and batching of the stage; section <c>VisionEncoder</c>.</summary>
public sealed class VisionEncoderOptions
{
    public const string Section = "VisionEncoder";

    /// <summary>Torch device of this stage: cpu, cuda or cuda:N. If it is empty, <see cref="ModelOptions.Device"/> applies.</summary>
    [RegularExpression(ModelOptions.Devices, ErrorMessage = "cpu, cuda or cuda:N, or empty to use Model:Device")]
    public string Device { get; set; } = "";

    /// <summary>Largest number of pixels, width × height by the header of the file. It is checked before anything is decoded.</summary>
    [Range(1, 500_000_000)] // four bytes per pixel must fit into an array
    public long MaxPixels { get; set; } = 50_000_000;

    /// <summary>Largest size of a picture, or of all files of a clip together, in bytes.</summary>
    [Range(64, 1 << 30)]
    public int MaxPictureBytes { get; set; } = 20 << 20;

    /// <summary>Largest ratio of the long side to the short side.</summary>
    [Range(1, 10_000)]
    public int MaxAspectRatio { get; set; } = 200;

    /// <summary>Most pictures in one call.</summary>
    [Range(1, 4096)]
    public int MaxPictures { get; set; } = 64;

    /// <summary>Most frames that a caller may request from one clip.</summary>
    [Range(1, 1024)]
    public int MaxFrames { get; set; } = 32;

    /// <summary>Most frames of a clip, as an animation or as files. It is checked before anything is decoded.</summary>
    [Range(1, 100_000)]
    public int MaxClipFrames { get; set; } = 1000;

    /// <summary>
    /// Most pixels of a clip that have to be decoded: width × height × frames. A frame of an animation requires the frames before it.
    /// </summary>
    [Range(1, 100_000_000_000)]
    public long MaxClipPixels { get; set; } = 500_000_000;

    /// <summary>
    /// Most pictures of all calls that are decoded at once. One fewer of them may be large, with more than a quarter of
    /// <see cref="MaxPixels"/>, so that a small picture does not wait for large ones. Each takes up to about 20 bytes, garbage
    /// included, for every pixel that <see cref="MaxPixels"/> allows, which is part of the memory plan.
    /// </summary>
    [Range(1, 256)]
    public int MaxDecodes { get; set; } = Math.Min(Environment.ProcessorCount, 4);

    /// <summary>
    /// Most frames of all calls that are in the stage at once: waiting to be decoded, decoded, or being computed. A call that would
    /// exceed it fails with RESOURCE_EXHAUSTED and a retry delay. The memory plan contains the levels and features of this many
    /// frames. A call with more frames is served if the stage is empty.
    /// </summary>
    [Range(1, 1_000_000)]
    public int MaxQueuedFrames { get; set; } = 512;

    /// <summary>
    /// Most frames in one forward pass, of one call or of several. More frames are computed in several passes, so that memory
    /// stays bounded. 0 means 8 on the CPU and 64 on a GPU.
    /// </summary>
    [Range(0, 256)]
    public int BatchSize { get; set; }

    /// <summary>
    /// How long a picture may wait for others to share its forward pass. With 0, it shares the pass only with pictures that are
    /// waiting already.
    /// </summary>
    [Range(typeof(TimeSpan), "00:00:00", "00:00:10")]
    public TimeSpan BatchWait { get; set; } = TimeSpan.FromMilliseconds(2);

    /// <summary>Returns <see cref="BatchSize"/>, or the default of the device if it is 0.</summary>
    public int BatchSizeOn(torch.Device device) => BatchSize > 0 ? BatchSize : device.type == DeviceType.CPU ? 8 : 64;
}
