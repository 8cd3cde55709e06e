using Microsoft.Extensions.Logging;
using TorchSharp;

namespace Flamingo.Modeling.Runtime;

/// <summary>Log messages about the model and the device of a process; events 2000 to 2099.</summary>
public static partial class ModelLog
{
    [LoggerMessage(2001, LogLevel.Information,
        "Model {Model} is read from {Directory} and computed in {Dtype}, matrices held as {Storage}, with {Threads} compute threads and "
        + "libtorch "
        + "{Torch}.")]
    public static partial void ModelOpened(
        this ILogger logger, string model, string directory, string dtype, string storage, int threads, string torch);

    [LoggerMessage(2002, LogLevel.Information, "Memory held: {Memory}.")]
    public static partial void MemoryPlanned(this ILogger logger, string memory);

    /// <param name="stage">Name of the stage for the reader of the log, for example "vision encoder".</param>
    /// <param name="digest">The digest that every answer of the stage carries.</param>
    [LoggerMessage(2003, LogLevel.Information, "The {Stage} computes on {Device} with the weights {Digest}.")]
    public static partial void StageReady(this ILogger logger, string stage, torch.Device device, string digest);

    [LoggerMessage(2004, LogLevel.Warning, "The device has no memory left for the work that is being computed, which is refused: {Reason}")]
    public static partial void DeviceMemoryShort(this ILogger logger, string reason);

    [LoggerMessage(2005, LogLevel.Critical, "The device failed. All later work is refused, and the process ends: {Reason}")]
    public static partial void DeviceLost(this ILogger logger, string reason);
}
