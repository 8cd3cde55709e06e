using Flamingo.Configuration.Certificates;
using Microsoft.Extensions.Options;

namespace Flamingo.ServiceDefaults.Security;

/// <summary>
/// TLS of the ports that a service opens for its callers; section <c>Tls</c>. Without a certificate these ports are served without TLS.
/// </summary>
public sealed class TlsOptions
{
    public const string Section = "Tls";

    /// <summary>
    /// PEM file of this service's certificate, followed by the certificates between it and a root. It is read again when it changes. Empty:
    /// no TLS.
    /// </summary>
    public string CertificateFile { get; set; } = "";

    /// <summary>PEM file of the certificate's private key, which must not be encrypted. Empty: it is in the certificate's file.</summary>
    public string KeyFile { get; set; } = "";

    /// <summary>
    /// PEM file of the authorities of callers' certificates. Callers must then show a certificate (mutual TLS). It is read again when it
    /// changes. Empty: callers need no certificate.
    /// </summary>
    public string ClientCaFile { get; set; } = "";

    /// <summary>Names, separated by commas, of which the certificate of a caller must have one. Empty: every name.</summary>
    public string ClientNames { get; set; } = "";

    internal bool IsOn => CertificateFile.Length > 0;

    internal PemFile Certificate => new($"{Section}:{nameof(CertificateFile)}", CertificateFile);

    internal PemFile Key => KeyFile.Length == 0 ? Certificate : new($"{Section}:{nameof(KeyFile)}", KeyFile);

    internal PemFile ClientCa => new($"{Section}:{nameof(ClientCaFile)}", ClientCaFile);

    internal IReadOnlyList<string> Names =>
        ClientNames.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
}

/// <summary>Checks at the start that the options fit together and that their files can be used.</summary>
internal sealed class TlsOptionRules(TimeProvider time) : IValidateOptions<TlsOptions>
{
    public ValidateOptionsResult Validate(string? name, TlsOptions options)
    {
        var faults = new List<string>();
        if (options is { KeyFile.Length: > 0, IsOn: false })
            faults.Add("Tls:KeyFile has no effect without Tls:CertificateFile. Give the certificate of the key, or leave the key out.");
        if (options is { ClientCaFile.Length: > 0, IsOn: false })
            faults.Add(
                "Tls:ClientCaFile asks callers for certificates, which only TLS carries. Give a Tls:CertificateFile, or leave it out.");
        if (options is { ClientNames.Length: > 0, ClientCaFile.Length: 0 })
            faults.Add("Tls:ClientNames has no effect without Tls:ClientCaFile. Give the authorities of callers, or leave the names out.");
        foreach (var wrong in options.Names.Where(given => Uri.CheckHostName(given) == UriHostNameType.Unknown))
            faults.Add($"Tls:ClientNames has '{wrong}', which is no name of a certificate. Give DNS names, such as gateway.");
        if (options.IsOn) Try(() => OwnCertificate.Parse(
            options.Certificate, options.Certificate.Read(), options.Key, options.Key.Read(), CertificateUse.Server, time.GetUtcNow()));
        if (options.ClientCaFile.Length > 0) Try(() => TrustedCertificates.Of(options.ClientCa, options.ClientCa.Read()));
        return faults.Count == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(faults);

        void Try(Func<object> read)
        {
            try
            {
                read();
            }
            catch (InvalidDataException exception)
            {
                faults.Add(exception.Message);
            }
        }
    }
}
