using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Flamingo.Configuration.Certificates;
using Microsoft.Extensions.Logging;

namespace Flamingo.Transport.Remote;

/// <summary>
/// The client side of TLS to stages. Every handshake uses the authorities and the certificate that the files hold then. Connections that
/// exist stay as they are, so that no call is dropped.
/// </summary>
public sealed class StageTls
{
    private readonly FollowedFiles<TrustedCertificates>? _authorities;
    private readonly FollowedFiles<OwnCertificate>? _own;

    /// <exception cref="InvalidDataException">A file cannot be used. The options validation reports this first.</exception>
    public StageTls(RemoteStageOptions options, TimeProvider time, ILogger<StageTls> log)
    {
        IsOn = options.IsTls;
        _authorities = options.CaFile.Length == 0 ? null : new FollowedFiles<TrustedCertificates>(
            [options.Ca], texts => TrustedCertificates.Of(options.Ca, texts[0]), time,
            read => log.AuthoritiesRead(read.Authorities.Count), log.CertificateDamaged);
        _own = options.CertificateFile.Length == 0 ? null : new FollowedFiles<OwnCertificate>(
            [options.Certificate, options.Key],
            texts => OwnCertificate.Parse(options.Certificate, texts[0], options.Key, texts[1], CertificateUse.Client, time.GetUtcNow()), time,
            renewed => log.CertificateRead($"{renewed}"), log.CertificateDamaged);
    }

    /// <summary>Whether calls whose address does not say so use TLS.</summary>
    public bool IsOn { get; }

    /// <summary>The name that an address expects in the certificate: its host, without a port.</summary>
    /// <param name="address"><c>dns:///name:port</c> or <c>https://host:port</c>.</param>
    public static string NameIn(string address)
    {
        // An address without an authority (dns:///) has the host in its path, and becomes one with an authority here.
        var rest = address[(address.IndexOf(':', StringComparison.Ordinal) + 1)..].TrimStart('/');
        return Uri.TryCreate($"https://{rest}", UriKind.Absolute, out var uri) ? uri.IdnHost : rest;
    }

    /// <summary>
    /// The options of handshakes with all replicas of a stage. Replicas are connected by their addresses in the network, so the name in the
    /// certificate is that of the stage and is checked here.
    /// </summary>
    /// <param name="name">The name that the stage's certificate must have.</param>
    public SslClientAuthenticationOptions For(string name) => new()
    {
        CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        LocalCertificateSelectionCallback = _own is null ? null : (_, _, _, _, _) => _own.Value.Certificate,
        RemoteCertificateValidationCallback = (_, certificate, chain, errors) =>
            WhyRefused(certificate as X509Certificate2, chain, errors, name) is { } reason
                ? throw new AuthenticationException(reason) // its message reaches the log, and a mere refusal would say nothing
                : true,
    };

    private string? WhyRefused(X509Certificate2? certificate, X509Chain? chain, SslPolicyErrors errors, string name)
    {
        if (certificate is null) return $"'{name}' showed no certificate";
        var problem = _authorities is { } trusted ? trusted.Value.WhyNot(certificate, chain, CertificateUse.Server)
            : errors.HasFlag(SslPolicyErrors.RemoteCertificateChainErrors) && chain is not null
                ? string.Join("; ", chain.ChainStatus.Select(status => status.StatusInformation.Trim().TrimEnd('.')))
                : null;
        if (problem is not null) return $"the certificate ({certificate.Subject}) of '{name}' is refused: {problem}";
        return certificate.MatchesHostname(name) ? null : $"the certificate ({certificate.Subject}) does not have the name '{name}'";
    }
}
