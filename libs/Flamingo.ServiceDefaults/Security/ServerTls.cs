using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Flamingo.Configuration.Certificates;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Flamingo.ServiceDefaults.Security;

/// <summary>
/// The server side of TLS. Every handshake uses the certificate and the authorities that the files hold then, so that a renewed certificate
/// is used within about a second. Connections that exist stay as they are, so that no call is dropped.
/// </summary>
internal sealed class ServerTls
{
    private static readonly TimeSpan LogPeriod = TimeSpan.FromMinutes(1);

    private readonly ILogger<ServerTls> _log;
    private readonly TimeProvider _time;
    private readonly FollowedFiles<OwnCertificate> _own;
    private readonly FollowedFiles<TrustedCertificates>? _authorities;
    private readonly IReadOnlyList<string> _names;
    private readonly Lock _logging = new();
    private long? _logged;
    private long _unlogged;

    /// <exception cref="InvalidDataException">A file cannot be used. The options validation reports this first.</exception>
    public ServerTls(IOptions<TlsOptions> options, TimeProvider time, ILogger<ServerTls> log)
    {
        var tls = options.Value;
        (_log, _time, _names) = (log, time, tls.Names);
        _own = new FollowedFiles<OwnCertificate>(
            [tls.Certificate, tls.Key],
            texts => OwnCertificate.Parse(tls.Certificate, texts[0], tls.Key, texts[1], CertificateUse.Server, time.GetUtcNow()), time,
            renewed => log.CertificateRead($"{renewed}"), log.CertificateDamaged);
        _authorities = tls.ClientCaFile.Length == 0 ? null : new FollowedFiles<TrustedCertificates>(
            [tls.ClientCa], texts => TrustedCertificates.Of(tls.ClientCa, texts[0]), time,
            read => log.AuthoritiesRead(read.Authorities.Count), log.CertificateDamaged);
        log.CertificateRead($"{_own.Value}");
    }

    /// <summary>Serves a port with TLS. Call this before other connection middleware, which then sees what is decrypted.</summary>
    public static void Use(ListenOptions listen)
    {
        var tls = listen.ApplicationServices.GetRequiredService<ServerTls>();
        listen.UseHttps(new TlsHandshakeCallbackOptions { OnConnection = _ => ValueTask.FromResult(tls.Handshake()) });
    }

    private SslServerAuthenticationOptions Handshake()
    {
        var options = new SslServerAuthenticationOptions
        {
            ServerCertificateContext = _own.Value.Context,
            EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
            CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        };
        if (_authorities is null) return options;
        options.ClientCertificateRequired = true;
        options.RemoteCertificateValidationCallback = (_, certificate, chain, _) => IsCaller(certificate as X509Certificate2, chain);
        return options;
    }

    private bool IsCaller(X509Certificate2? certificate, X509Chain? chain)
    {
        if (WhyRefused(certificate, chain) is not { } reason) return true;
        Count(reason);
        return false;
    }

    private string? WhyRefused(X509Certificate2? certificate, X509Chain? chain)
    {
        if (certificate is null) return "a caller showed no certificate, which Tls:ClientCaFile asks for";
        // Who has this service's own certificate and key is this service: its health check (--health), for which no other certificate is
        // needed.
        if (certificate.RawDataMemory.Span.SequenceEqual(_own.Value.Certificate.RawDataMemory.Span)) return null;
        if (_authorities!.Value.WhyNot(certificate, chain, CertificateUse.Client) is { } problem)
            return $"the certificate of a caller ({certificate.Subject}) is refused: {problem}";
        return _names.Count == 0 || _names.Any(name => certificate.MatchesHostname(name, allowWildcards: false))
            ? null
            : $"the certificate of a caller ({certificate.Subject}) has none of the names of Tls:ClientNames ({string.Join(", ", _names)})";
    }

    // At most one message a minute, because anybody who reaches the port may cause them.
    private void Count(string reason)
    {
        long count;
        lock (_logging)
        {
            _unlogged++;
            if (_logged is { } last && _time.GetElapsedTime(last) < LogPeriod) return;
            (count, _unlogged, _logged) = (_unlogged, 0, _time.GetTimestamp());
        }

        _log.CallersRefused(count, reason);
    }
}
