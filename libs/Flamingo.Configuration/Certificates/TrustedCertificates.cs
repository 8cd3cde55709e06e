using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Flamingo.Configuration.Certificates;

/// <summary>The certificate authorities that the certificates of others are checked against, as one PEM file holds them.</summary>
public sealed class TrustedCertificates
{
    private readonly X509Certificate2Collection _authorities;

    private TrustedCertificates(X509Certificate2Collection authorities) => _authorities = authorities;

    /// <summary>The authorities, for handlers that check certificates themselves.</summary>
    public X509Certificate2Collection Authorities => [.. _authorities];

    /// <param name="file">The file that holds the authorities.</param>
    /// <exception cref="InvalidDataException">The message names the option, the file and the remedy.</exception>
    public static TrustedCertificates Of(PemFile file, string text) => new(Parse(file, text));

    /// <summary>Checks the certificate of another process: its authority, its time and its use. The caller checks its name.</summary>
    /// <param name="shown">What the other sent with it. These certificates are only used to find a way to an authority.</param>
    /// <param name="use">What the certificate was shown as.</param>
    /// <returns>Null if it holds, or else the reason why it does not, as a clause.</returns>
    public string? WhyNot(X509Certificate2 certificate, X509Chain? shown, CertificateUse use)
    {
        using var chain = new X509Chain();
        var policy = chain.ChainPolicy;
        (policy.TrustMode, policy.RevocationMode) = (X509ChainTrustMode.CustomRootTrust, X509RevocationMode.NoCheck);
        policy.DisableCertificateDownloads = true; // nobody may have this process fetch an address
        policy.CustomTrustStore.AddRange(_authorities);
        policy.ApplicationPolicy.Add(new Oid(use.Identifier()));
        if (shown is not null)
        {
            policy.ExtraStore.AddRange(shown.ChainPolicy.ExtraStore);
            foreach (var element in shown.ChainElements) policy.ExtraStore.Add(element.Certificate);
        }

        if (chain.Build(certificate)) return null;
        var problems = chain.ChainStatus.Aggregate(X509ChainStatusFlags.NoError, (flags, status) => flags | status.Status);
        if (problems.HasFlag(X509ChainStatusFlags.NotTimeValid))
            return $"it is valid from {certificate.NotBefore.ToUniversalTime():u} to {certificate.NotAfter.ToUniversalTime():u}, or one of "
                + "its authorities has expired";
        if (problems.HasFlag(X509ChainStatusFlags.PartialChain) || problems.HasFlag(X509ChainStatusFlags.UntrustedRoot))
            return $"it was issued by {certificate.Issuer}, which is none of the trusted authorities";
        return problems.HasFlag(X509ChainStatusFlags.NotValidForUsage)
            ? $"its extended key usage is not for {use.Words()}"
            : string.Join("; ", chain.ChainStatus.Select(status => status.StatusInformation.Trim().TrimEnd('.')));
    }

    /// <returns>At least one certificate, in the order of the file.</returns>
    internal static X509Certificate2Collection Parse(PemFile file, string text)
    {
        var all = new X509Certificate2Collection();
        file.Parse<object?>(
            () =>
            {
                all.ImportFromPem(text);
                return null;
            },
            "one of its certificates is damaged", "Give the PEM file as it was issued");
        // Text whose lines are damaged is no PEM block, and is left out without an error.
        var begun = text.Split("-----BEGIN CERTIFICATE-----").Length - 1;
        if (begun == 0)
            throw file.Fault("it holds no PEM certificate (-----BEGIN CERTIFICATE-----)", "Give a PEM file, and not one of another form");
        if (begun != all.Count) throw file.Fault("one of its certificates is damaged", "Give the PEM file as it was issued");
        return all;
    }
}
