using Microsoft.Extensions.Logging;

namespace Flamingo.Gateway.Doors.OpenAI;

/// <summary>Log messages of OpenAI's API. Bodies are never logged.</summary>
internal static partial class OpenAiLog
{
    [LoggerMessage(6500, LogLevel.Error, "{Method} {Path} failed unexpectedly.")]
    public static partial void FailedUnexpectedly(ILogger logger, Exception exception, string method, string path);
}
