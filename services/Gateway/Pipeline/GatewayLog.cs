using Microsoft.Extensions.Logging;

namespace Flamingo.Gateway;

/// <summary>Log messages about the stages behind the gateway and about requests that the gateway refuses.</summary>
internal static partial class GatewayLog
{
    [LoggerMessage(6000, LogLevel.Information, "The vision encoder is '{ModelId}' (weights {Digest}, preprocessing {Preprocessing}).")]
    public static partial void VisionEncoder(ILogger logger, string modelId, string digest, string preprocessing);

    [LoggerMessage(6001, LogLevel.Information, "The resampler is '{ModelId}' (weights {Digest}): {Latents} latents of width {Width}, "
        + "{Dtype}.")]
    public static partial void Resampler(ILogger logger, string modelId, string digest, int latents, int width, string dtype);

    [LoggerMessage(6002, LogLevel.Information, "The language model is '{ModelId}' (weights {Digest}).")]
    public static partial void LanguageModel(ILogger logger, string modelId, string digest);

    [LoggerMessage(6003, LogLevel.Error, "The gateway refuses requests until the stages are restarted: {Problem}")]
    public static partial void StagesDoNotFit(ILogger logger, string problem);

    [LoggerMessage(6004, LogLevel.Warning,
        "The gateway refused a request: {Working} requests are running (Gateway:MaxConcurrentRequests) and {Waiting} are waiting "
        + "(Gateway:MaxQueuedRequests).")]
    public static partial void Overloaded(ILogger logger, int working, int waiting);

    [LoggerMessage(6005, LogLevel.Debug,
        "The language model does not hold {Latents} latents that were sent to it before. The gateway repeats the call "
        + "with all latents.")]
    public static partial void SentAgain(ILogger logger, int latents);

    [LoggerMessage(6006, LogLevel.Information,
        "An answer was ended, because its caller read nothing for {Time} (Gateway:WriteStallTimeout).")]
    public static partial void AnswerUnread(ILogger logger, TimeSpan time);

    [LoggerMessage(6007, LogLevel.Information,
        "At most {Running} requests run at once and {Waiting} wait, and one has at most {Pictures} pictures (section Gateway). The latent "
        + "cache may be emptied by: {OperatorCalls} (Gateway:OperatorCalls).")]
    public static partial void Limits(ILogger logger, int running, int waiting, int pictures, string operatorCalls);
}
