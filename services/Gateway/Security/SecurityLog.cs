using Microsoft.Extensions.Logging;

namespace Flamingo.Gateway.Security;

/// <summary>The events of keys, tokens and refused callers; 6300 to 6399. None of them holds a secret.</summary>
internal static partial class SecurityLog
{
    [LoggerMessage(6300, LogLevel.Warning,
        "Everybody who reaches {Addresses} may call this gateway as any tenant. Set Security:KeysFile ('flamingo key new' writes the file) "
        + "or Security:Issuer, or Endpoints:Listen=loopback.")]
    public static partial void Open(this ILogger logger, string addresses);

    [LoggerMessage(6301, LogLevel.Information, "Keys read from {File}: {Count}.")]
    public static partial void KeysRead(this ILogger logger, string file, int count);

    [LoggerMessage(6302, LogLevel.Warning,
        "Security:KeysFile has changed and cannot be used; the keys read before ({Count}) still hold. {Problem}")]
    public static partial void KeysFileDamaged(this ILogger logger, int count, string problem);

    [LoggerMessage(6303, LogLevel.Information,
        "Calls without a valid key or token that were refused since the last such message: {Count}. The last one came from {Address}: "
            + "{Reason}")]
    public static partial void CallersRefused(this ILogger logger, long count, string address, string reason);

    [LoggerMessage(6304, LogLevel.Warning, "The keys of Security:Issuer {Issuer} cannot be read, so its tokens are refused: {Reason}")]
    public static partial void IssuerUnreached(this ILogger logger, string issuer, string reason);

    [LoggerMessage(6305, LogLevel.Information,
        "Callers need {Callers}. A tenant may have, where 0 is no limit: {Requests} requests, {Pictures} pictures and {Tokens} tokens a "
        + "minute, and {Concurrent} requests at once (section Limits). Pages of these origins may call from a browser: {Origins}.")]
    public static partial void Secured(
        this ILogger logger, string callers, int requests, int pictures, int tokens, int concurrent, string origins);
}
