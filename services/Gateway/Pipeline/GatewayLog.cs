using Microsoft.Extensions.Logging;

namespace Flamingo.Gateway;

/// <summary>What operators read about the way of a request: the stages behind the gateway, and requests that it refuses.</summary>
internal static partial class GatewayLog
{
    [LoggerMessage(6000, LogLevel.Information, "The vision encoder is '{ModelId}' (weights {Digest}, preprocessing {Preprocessing}).")]
    public static partial void VisionEncoder(ILogger logger, string modelId, string digest, string preprocessing);

    [LoggerMessage(6001, LogLevel.Information, "The resampler is '{ModelId}' (weights {Digest}): {Latents} latents of width {Width}, "
        + "{Dtype}.")]
    public static partial void Resampler(ILogger logger, string modelId, string digest, int latents, int width, string dtype);

    [LoggerMessage(6002, LogLevel.Information, "The language model is '{ModelId}' (weights {Digest}).")]
    public static partial void LanguageModel(ILogger logger, string modelId, string digest);

    [LoggerMessage(6003, LogLevel.Error, "Requests are refused until the stages are restarted: {Problem}")]
    public static partial void StagesDoNotFit(ILogger logger, string problem);

    [LoggerMessage(6004, LogLevel.Warning, "A request is refused: {Working} are in work (Gateway:MaxConcurrentRequests) and {Waiting} wait "
        + "(Gateway:MaxQueuedRequests).")]
    public static partial void Overloaded(ILogger logger, int working, int waiting);

    [LoggerMessage(6005, LogLevel.Debug, "The language model does not hold {Latents} of the latents that were sent to it before. The call is "
        + "made again with all of them.")]
    public static partial void SentAgain(ILogger logger, int latents);
}
