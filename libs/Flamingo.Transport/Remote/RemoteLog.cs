using Microsoft.Extensions.Logging;

namespace Flamingo.Transport.Remote;

/// <summary>The events of the client side of calls to stages; 1300 to 1399.</summary>
internal static partial class RemoteLog
{
    [LoggerMessage(1300, LogLevel.Information, "The certificate that stages are shown was read again: {Certificate}.")]
    public static partial void CertificateRead(this ILogger logger, string certificate);

    [LoggerMessage(1301, LogLevel.Information, "The authorities of the stages' certificates were read again: {Count}.")]
    public static partial void AuthoritiesRead(this ILogger logger, int count);

    [LoggerMessage(1302, LogLevel.Warning,
        "A file of TLS to stages has changed and cannot be used, and what was read before still holds. {Problem}")]
    public static partial void CertificateDamaged(this ILogger logger, string problem);
}
