using Microsoft.Extensions.Logging;

namespace Flamingo.LanguageModel.Engine.Generation;

/// <summary>Log messages of the engine; events 5100 to 5199.</summary>
internal static partial class EngineLog
{
    [LoggerMessage(5101, LogLevel.Warning,
        "The queue is full: {Waiting} requests wait. Further requests are refused with RESOURCE_EXHAUSTED until one of these is admitted.")]
    public static partial void QueueFull(this ILogger logger, int waiting);

    [LoggerMessage(5102, LogLevel.Information, "The queue has room again. {Refused} requests were refused while it was full.")]
    public static partial void QueueHasRoom(this ILogger logger, int refused);

    [LoggerMessage(5103, LogLevel.Debug,
        "A request was admitted: {PromptTokens} prompt tokens, {CachedTokens} of them cached, and {Pictures} pictures, "
        + "{NewPictures} of them to project.")]
    public static partial void RequestAdmitted(this ILogger logger, int promptTokens, int cachedTokens, int pictures, int newPictures);

    [LoggerMessage(5104, LogLevel.Debug,
        "A request finished after {Milliseconds:0} ms: {PromptTokens} prompt tokens, {CachedTokens} of them cached.")]
    public static partial void RequestFinished(this ILogger logger, double milliseconds, int promptTokens, int cachedTokens);

    [LoggerMessage(5105, LogLevel.Debug, "A request of {PromptTokens} prompt tokens was cancelled after {Milliseconds:0} ms.")]
    public static partial void RequestCancelled(this ILogger logger, int promptTokens, double milliseconds);

    [LoggerMessage(5106, LogLevel.Warning, "A request failed. Other requests are not affected. {Reason}")]
    public static partial void RequestFailed(this ILogger logger, string reason);

    [LoggerMessage(5107, LogLevel.Error, "A step failed, and with it all {Requests} requests that were running.")]
    public static partial void StepFailed(this ILogger logger, Exception exception, int requests);

    [LoggerMessage(5108, LogLevel.Warning, "A prefix was not pinned: {Reason}")]
    public static partial void PinRefused(this ILogger logger, string reason);

    [LoggerMessage(5109, LogLevel.Debug, "A prefix of {Blocks} blocks is pinned for {Duration}.")]
    public static partial void PrefixPinned(this ILogger logger, int blocks, TimeSpan duration);

    [LoggerMessage(5110, LogLevel.Information, "{Pins} pinned prefixes have expired. Their {Blocks} blocks may be evicted now.")]
    public static partial void PinsExpired(this ILogger logger, int pins, int blocks);

    [LoggerMessage(5111, LogLevel.Information,
        "The engine stops: {Running} running and {Waiting} waiting requests end with UNAVAILABLE.")]
    public static partial void Stopping(this ILogger logger, int running, int waiting);

    [LoggerMessage(5112, LogLevel.Critical,
        "The engine's loop has ended with an error. All further requests are refused, and the process ends.")]
    public static partial void LoopFailed(this ILogger logger, Exception exception);

    [LoggerMessage(5113, LogLevel.Information,
        "{Pins} pinned prefixes have ended before their time, because a waiting request needs room.")]
    public static partial void PinsYielded(this ILogger logger, long pins);

    [LoggerMessage(5114, LogLevel.Information, "A request was ended, because its sampling parameters leave no token. {Reason}")]
    public static partial void NoTokenLeft(this ILogger logger, string reason);
}
