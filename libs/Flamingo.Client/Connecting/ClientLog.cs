using Microsoft.Extensions.Logging;

namespace Flamingo.Client.Connecting;

/// <summary>Log messages of the client's calls.</summary>
internal static partial class ClientLog
{
    [LoggerMessage(1200, LogLevel.Information, "The client retries a call in {Delay} (retry {Retry}): {Reason}")]
    public static partial void Retrying(ILogger logger, TimeSpan delay, int retry, string reason);

    [LoggerMessage(1201, LogLevel.Debug, "The client sends {Pictures} pictures again as bytes, because the server no longer holds them.")]
    public static partial void SendingAgain(ILogger logger, int pictures);

    [LoggerMessage(1202, LogLevel.Warning,
        "The key is sent to {Addresses} without TLS, so that everybody on the way can read it. Use https:// and a server or a proxy with TLS.")]
    public static partial void KeyWithoutTls(ILogger logger, string addresses);
}
