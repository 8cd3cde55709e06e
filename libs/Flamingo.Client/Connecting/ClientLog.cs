using Microsoft.Extensions.Logging;

namespace Flamingo.Client.Connecting;

/// <summary>What the client says of its calls.</summary>
internal static partial class ClientLog
{
    [LoggerMessage(1200, LogLevel.Information, "A call is made again in {Delay}, for the {Retry}. time: {Reason}")]
    public static partial void Retrying(ILogger logger, TimeSpan delay, int retry, string reason);

    [LoggerMessage(1201, LogLevel.Debug, "{Pictures} pictures are sent again as bytes, because the server does not hold them any more")]
    public static partial void SendingAgain(ILogger logger, int pictures);
}
