using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Flamingo.Configuration.Certificates;

/// <summary>
/// The certificate that a process shows to others: its own certificate first, then the certificates between it and a root, as PEM files
/// hold them.
/// </summary>
public sealed class OwnCertificate
{
    private OwnCertificate(X509Certificate2 certificate, X509Certificate2Collection between) =>
        (Certificate, Context) = (certificate, SslStreamCertificateContext.Create(certificate, between, offline: true));

    /// <summary>The certificate, with its private key.</summary>
    public X509Certificate2 Certificate { get; }

    /// <summary>The certificate with those between it and a root, for a TLS handshake.</summary>
    public SslStreamCertificateContext Context { get; }

    /// <summary>For example <c>CN=gateway, valid until 2027-01-01 00:00:00Z</c>.</summary>
    public override string ToString() => $"{Certificate.Subject}, valid until {End(Certificate):u}";

    /// <summary>Reads a certificate and its key from the text of their files.</summary>
    /// <param name="file">The file of the certificates.</param>
    /// <param name="keyFile">The file of the private key; the same one if both are in one file.</param>
    /// <param name="use">What the certificate is shown as.</param>
    /// <param name="now">The time at which the certificate must be valid; null accepts one that has expired.</param>
    /// <exception cref="InvalidDataException">The message names the option, the file and the remedy.</exception>
    public static OwnCertificate Parse(
        PemFile file, string text, PemFile keyFile, string keyText, CertificateUse use, DateTimeOffset? now)
    {
        var all = TrustedCertificates.Parse(file, text);
        if (keyText.Contains("-----BEGIN ENCRYPTED PRIVATE KEY-----", StringComparison.Ordinal))
            throw keyFile.Fault(
                "its private key is encrypted", "Decrypt it ('openssl pkey -in FILE -out FILE'), and let only this process read it");
        if (!keyText.Contains("PRIVATE KEY-----", StringComparison.Ordinal))
            throw keyFile.Fault(
                "it holds no private key (-----BEGIN PRIVATE KEY-----)",
                "Give the key of the certificate, in this file or in one of its own");
        var certificate = keyFile.Parse(
            () => X509Certificate2.CreateFromPem(text, keyText),
            $"its private key is damaged or is not the key of the certificate in '{file.Path}'",
            "Give the certificate and the key that were made together");
        if (certificate.Extensions.OfType<X509EnhancedKeyUsageExtension>().FirstOrDefault() is { } usages
            && !usages.EnhancedKeyUsages.Cast<Oid>().Any(usage => usage.Value == use.Identifier()))
            throw file.Fault(
                $"its extended key usage is not for {use.Words()}", $"Have it issued with the usage {use.Identifier()} too");
        if (End(certificate) <= now) throw file.Fault($"the certificate expired at {End(certificate):u}", "Give one that is valid");
        if (new DateTimeOffset(certificate.NotBefore) is var begin && begin > now)
            throw file.Fault($"the certificate is valid only from {begin:u}", "Give one that is valid now, or correct this machine's clock");
        if (OperatingSystem.IsWindows()) // TLS there needs a key that is stored, and not one that is only in memory
            certificate = X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pkcs12), null);
        all.RemoveAt(0);
        return new OwnCertificate(certificate, all);
    }

    private static DateTimeOffset End(X509Certificate2 certificate) => new(certificate.NotAfter);
}
