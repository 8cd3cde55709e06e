using Microsoft.Extensions.Logging;

namespace Flamingo.VisionEncoder.Execution;

/// <summary>Log messages of the vision encoder; events 3000 to 3099.</summary>
internal static partial class VisionEncoderLog
{
    [LoggerMessage(3001, LogLevel.Information, "A call with {Pictures} pictures was refused: {Reason}")]
    public static partial void CallRefused(this ILogger logger, int pictures, string reason);

    [LoggerMessage(3002, LogLevel.Debug,
        "A forward pass of {Frames} frames took {Milliseconds:0.0} ms and completed {Pictures} pictures.")]
    public static partial void BatchComputed(this ILogger logger, int frames, double milliseconds, int pictures);

    [LoggerMessage(3003, LogLevel.Warning, "A forward pass of {Frames} frames failed, so the calls in it fail.")]
    public static partial void BatchFailed(this ILogger logger, Exception exception, int frames);

    [LoggerMessage(3004, LogLevel.Information,
        "A picture has at most {Pixels} pixels and {Bytes} bytes, and a call at most {Pictures} pictures. {Decodes} pictures are decoded "
        + "at once, and {Frames} frames may be in the stage (section VisionEncoder).")]
    public static partial void Limits(this ILogger logger, long pixels, long bytes, int pictures, int decodes, int frames);
}
