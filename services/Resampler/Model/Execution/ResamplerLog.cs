using Microsoft.Extensions.Logging;

namespace Flamingo.Resampler.Execution;

/// <summary>Log messages of the resampler; events 4000 to 4099.</summary>
internal static partial class ResamplerLog
{
    [LoggerMessage(4001, LogLevel.Information, "A call with {Pictures} pictures was refused: {Reason}")]
    public static partial void CallRefused(this ILogger logger, int pictures, string reason);

    [LoggerMessage(4002, LogLevel.Debug, "A forward pass of {Pictures} pictures took {Milliseconds:0.0} ms.")]
    public static partial void BatchComputed(this ILogger logger, int pictures, double milliseconds);

    [LoggerMessage(4003, LogLevel.Warning, "A forward pass of {Pictures} pictures failed, so the calls in it fail.")]
    public static partial void BatchFailed(this ILogger logger, Exception exception, int pictures);

    [LoggerMessage(4004, LogLevel.Information,
        "A call has at most {Items} pictures, and {Frames} frames may be in the stage (section Resampler).")]
    public static partial void Limits(this ILogger logger, int items, int frames);
}
