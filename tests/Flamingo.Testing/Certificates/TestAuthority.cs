using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Flamingo.Testing.Certificates;

/// <summary>A certificate authority that exists for one test, and issues the certificates that the test needs.</summary>
public sealed class TestAuthority : IDisposable
{
    private static readonly DateTimeOffset Begin = TimeProvider.System.GetUtcNow().AddHours(-1), End = Begin.AddDays(2);

    private readonly X509Certificate2 _certificate;
    private readonly TestAuthority? _issuer;

    /// <param name="name">Common name of the authority.</param>
    /// <param name="issuer">The authority above this one; null makes a root.</param>
    public TestAuthority(string name = "Flamingo test root", TestAuthority? issuer = null)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, true));
        _issuer = issuer;
        if (issuer is null) _certificate = request.CreateSelfSigned(Begin.AddDays(-30), End.AddDays(30));
        else
        {
            using var issued = request.Create(issuer._certificate, Begin.AddDays(-20), End.AddDays(20), SerialNumber());
            _certificate = issued.CopyWithPrivateKey(key);
        }
    }

    /// <summary>The authority's own certificate as PEM, which others trust.</summary>
    public string Pem => _certificate.ExportCertificatePem();

    /// <summary>The authority's own certificate, without its key.</summary>
    public X509Certificate2 Certificate => X509CertificateLoader.LoadCertificate(_certificate.RawData);

    /// <summary>Issues a certificate for some DNS names, and for the address 127.0.0.1 if <c>localhost</c> is one of them.</summary>
    /// <param name="names">At least one; the first is the common name too.</param>
    /// <param name="expired">Whether the certificate's time is over.</param>
    /// <param name="usages">Object identifiers of the extended key usages; null for servers and clients.</param>
    public TestCertificate Issue(IReadOnlyList<string> names, bool expired = false, IReadOnlyList<string>? usages = null)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={names[0]}", key, HashAlgorithmName.SHA256);
        var alternatives = new SubjectAlternativeNameBuilder();
        foreach (var name in names) alternatives.AddDnsName(name);
        if (names.Contains("localhost")) alternatives.AddIpAddress(System.Net.IPAddress.Loopback);
        request.CertificateExtensions.Add(alternatives.Build());
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension(
            [.. (usages ?? [TestCertificate.ForServers, TestCertificate.ForClients]).Select(usage => new Oid(usage))], false));
        var (begin, end) = expired ? (Begin.AddDays(-3), Begin) : (Begin, End);
        using var issued = request.Create(_certificate, begin, end, SerialNumber());
        var chain = issued.ExportCertificatePem() + "\n" + (_issuer is null ? "" : Pem + "\n");
        return new TestCertificate(chain, key.ExportPkcs8PrivateKeyPem() + "\n");
    }

    public TestCertificate Issue(params string[] names) => Issue((IReadOnlyList<string>)names);

    public void Dispose() => _certificate.Dispose();

    private static byte[] SerialNumber() => RandomNumberGenerator.GetBytes(12);
}

/// <summary>A certificate as an operator has it.</summary>
/// <param name="Chain">PEM of the certificate and of those between it and a root.</param>
/// <param name="Key">PEM of its private key.</param>
public sealed record TestCertificate(string Chain, string Key)
{
    /// <summary>Object identifiers of the extended key usages.</summary>
    public const string ForServers = "1.3.6.1.5.5.7.3.1", ForClients = "1.3.6.1.5.5.7.3.2";

    /// <summary>The certificate with its key.</summary>
    public X509Certificate2 Load() => X509Certificate2.CreateFromPem(Chain, Key);
}
