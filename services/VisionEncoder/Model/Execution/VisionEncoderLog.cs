using Microsoft.Extensions.Logging;

namespace Flamingo.VisionEncoder.Execution;

/// <summary>What the vision encoder tells an operator; events 3000 to 3099.</summary>
internal static partial class VisionEncoderLog
{
    [LoggerMessage(3001, LogLevel.Information, "A call with {Pictures} pictures was refused: {Reason}")]
    public static partial void CallRefused(this ILogger logger, int pictures, string reason);

    [LoggerMessage(3002, LogLevel.Debug,
        "A forward pass of {Frames} frames took {Milliseconds:0.0} ms. {Pictures} pictures are complete with it.")]
    public static partial void BatchComputed(this ILogger logger, int frames, double milliseconds, int pictures);

    [LoggerMessage(3003, LogLevel.Warning, "A forward pass of {Frames} frames failed, and the calls in it with it.")]
    public static partial void BatchFailed(this ILogger logger, Exception exception, int frames);
}
