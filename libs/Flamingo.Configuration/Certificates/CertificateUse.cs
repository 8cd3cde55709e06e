namespace Flamingo.Configuration.Certificates;

/// <summary>What a certificate is shown as. One that lists its uses must list this one (RFC 5280, section 4.2.1.12).</summary>
public enum CertificateUse
{
    /// <summary>The certificate of the side that accepts connections.</summary>
    Server,

    /// <summary>The certificate of the side that connects.</summary>
    Client,
}

internal static class CertificateUses
{
    /// <summary>The object identifier of a use, as certificates list it.</summary>
    public static string Identifier(this CertificateUse use) => use == CertificateUse.Server ? "1.3.6.1.5.5.7.3.1" : "1.3.6.1.5.5.7.3.2";

    public static string Words(this CertificateUse use) => use == CertificateUse.Server ? "TLS servers" : "TLS clients";
}
