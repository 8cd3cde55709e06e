using Microsoft.Extensions.Logging;
using StackExchange.Redis;

namespace Flamingo.Gateway.Redis;

/// <summary>Log messages about the connection to Redis and the data stored there.</summary>
internal static partial class RedisLog
{
    [LoggerMessage(6200, LogLevel.Information,
        "Redis is off (Redis:ConnectionString is empty): latents are held only in the memory of this process, and so are support "
        + "sets unless SupportSets:ConnectionString names a Redis of their own.")]
    public static partial void Off(ILogger logger);

    [LoggerMessage(6201, LogLevel.Information, "Redis at {Servers} is connected.")]
    public static partial void Connected(ILogger logger, string servers);

    [LoggerMessage(6202, LogLevel.Warning, "Redis at {Servers} does not answer ({Reason}). Until it does, {Consequence}.")]
    public static partial void Absent(ILogger logger, string servers, string reason, string consequence);

    [LoggerMessage(6203, LogLevel.Warning,
        "The connection to Redis at {Servers} is lost: {Failure}. The gateway tries to reconnect every second.")]
    public static partial void Lost(ILogger logger, string servers, ConnectionFailureType failure);

    [LoggerMessage(6204, LogLevel.Information, "Redis at {Servers} is connected again.")]
    public static partial void Restored(ILogger logger, string servers);

    [LoggerMessage(6205, LogLevel.Warning, "A Redis {What} failed, and the request continues without it: {Reason}")]
    public static partial void Failed(ILogger logger, string what, string reason);

    [LoggerMessage(6206, LogLevel.Warning, "The Redis {What} failed repeatedly and is skipped for {Duration}.")]
    public static partial void Skipped(ILogger logger, string what, TimeSpan duration);

    [LoggerMessage(6207, LogLevel.Information, "The Redis {What} succeeds and is used again.")]
    public static partial void UsedAgain(ILogger logger, string what);

    [LoggerMessage(6208, LogLevel.Warning, "A call to Redis for support sets failed: {Reason}")]
    public static partial void SupportSetsFailed(ILogger logger, string reason);

    [LoggerMessage(6209, LogLevel.Warning, "Redis:IntegrityKey is empty: whoever can write to Redis can replace latents and support sets "
        + "by others, and the gateway does not notice. Set the same key on all gateways that share this Redis.")]
    public static partial void NoIntegrityKey(ILogger logger);

    [LoggerMessage(6210, LogLevel.Warning, "Gateway:TenantSalt is empty: whoever has a picture can compute the key of its latents in "
        + "Redis. Set the same secret on all gateways that share this Redis.")]
    public static partial void NoTenantSalt(ILogger logger);

    [LoggerMessage(6211, LogLevel.Warning, "In Redis, {What} of support set {Name} is damaged: {Problem}. It is skipped. Put the set again "
        + "or delete it.")]
    public static partial void SupportSetDamaged(ILogger logger, string what, string name, string problem);

    [LoggerMessage(6212, LogLevel.Information, "The certificate that Redis is shown was read again: {Certificate}.")]
    public static partial void CertificateRead(ILogger logger, string certificate);

    [LoggerMessage(6213, LogLevel.Information, "The authorities of Redis' certificate were read again: {Count}.")]
    public static partial void AuthoritiesRead(ILogger logger, int count);

    [LoggerMessage(6214, LogLevel.Warning,
        "A file of TLS to Redis has changed and cannot be used, and what was read before still holds. {Problem}")]
    public static partial void CertificateDamaged(ILogger logger, string problem);

    [LoggerMessage(6215, LogLevel.Warning, "The certificate of Redis at {Host} is refused: {Reason}.")]
    public static partial void CertificateRefused(ILogger logger, string host, string reason);
}
