using System.ComponentModel.DataAnnotations;
using Flamingo.Configuration.Certificates;
using Microsoft.Extensions.Options;

namespace Flamingo.Transport.Remote;

/// <summary>
/// Addresses of the stages; section <c>Stages</c>. <c>dns:///name:port</c> names all replicas behind a DNS name,
/// <c>http://host:port</c> names one server.
/// </summary>
public sealed class RemoteStageOptions
{
    public const string Section = "Stages";

    private const string Form = "dns:///name:port, http://host:port or https://host:port";

    [Required, RegularExpression("(dns:///|http://|https://).+", ErrorMessage = Form)]
    public string VisionEncoder { get; set; } = "";

    [Required, RegularExpression("(dns:///|http://|https://).+", ErrorMessage = Form)]
    public string Resampler { get; set; } = "";

    [Required, RegularExpression("(dns:///|http://|https://).+", ErrorMessage = Form)]
    public string LanguageModel { get; set; } = "";

    /// <summary>
    /// Prompts with the same beginning go to the same replica of the language model, so that its prefix cache is hit. A replica
    /// that has this many calls in flight more than the least loaded replica is skipped, and the next replica in hash order takes
    /// the call.
    /// </summary>
    [Range(1, 100_000)]
    public int LanguageModelSpill { get; set; } = 8;

    /// <summary>
    /// How often DNS is queried for changed replicas. For the same time, a replica at which a call failed is skipped while
    /// another replica is available.
    /// </summary>
    [Range(typeof(TimeSpan), "00:00:01", "01:00:00")]
    public TimeSpan DnsRefresh { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>Longest wait for a connection. After it, a call to a stage that is down fails with UNAVAILABLE.</summary>
    [Range(typeof(TimeSpan), "00:00:00.100", "00:05:00")]
    public TimeSpan ConnectTimeout { get; set; } = TimeSpan.FromSeconds(2);

    /// <summary>
    /// PEM file of the authorities of the stages' certificates; read again when it changes. It turns TLS on for <c>dns:///</c>. Empty: the
    /// system's authorities, for <c>https://</c>.
    /// </summary>
    public string CaFile { get; set; } = "";

    /// <summary>
    /// PEM file of the certificate that the gateway shows to stages (mutual TLS); read again when it changes. It turns TLS on for
    /// <c>dns:///</c>. Empty: none.
    /// </summary>
    public string CertificateFile { get; set; } = "";

    /// <summary>PEM file of the private key of <see cref="CertificateFile"/>. Empty: it is in the certificate's file.</summary>
    public string KeyFile { get; set; } = "";

    /// <summary>The name that the vision encoder's certificate must have. Empty: the host of its address.</summary>
    public string VisionEncoderName { get; set; } = "";

    /// <summary>The name that the resampler's certificate must have. Empty: the host of its address.</summary>
    public string ResamplerName { get; set; } = "";

    /// <summary>The name that the language model's certificate must have. Empty: the host of its address.</summary>
    public string LanguageModelName { get; set; } = "";

    /// <summary>Whether calls by <c>dns:///</c> use TLS.</summary>
    internal bool IsTls => CaFile.Length > 0 || CertificateFile.Length > 0;

    internal PemFile Ca => new($"{Section}:{nameof(CaFile)}", CaFile);

    internal PemFile Certificate => new($"{Section}:{nameof(CertificateFile)}", CertificateFile);

    internal PemFile Key => KeyFile.Length == 0 ? Certificate : new($"{Section}:{nameof(KeyFile)}", KeyFile);
}

/// <summary>Checks at the start that addresses, names and files of certificates fit together.</summary>
internal sealed class RemoteStageRules(TimeProvider time) : IValidateOptions<RemoteStageOptions>
{
    public ValidateOptionsResult Validate(string? name, RemoteStageOptions options)
    {
        var faults = new List<string>();
        if (options is { KeyFile.Length: > 0, CertificateFile.Length: 0 })
            faults.Add(
                "Stages:KeyFile has no effect without Stages:CertificateFile. Give the certificate of the key, or leave the key out.");
        foreach (var (stage, address, expected) in new[]
        {
            (nameof(options.VisionEncoder), options.VisionEncoder, options.VisionEncoderName),
            (nameof(options.Resampler), options.Resampler, options.ResamplerName),
            (nameof(options.LanguageModel), options.LanguageModel, options.LanguageModelName),
        })
        {
            var isPlain = address.StartsWith("http://", StringComparison.Ordinal);
            if (isPlain && options.IsTls)
                faults.Add(
                    $"Stages:{stage} is '{address}', which is without TLS, while Stages:{(options.CaFile.Length > 0 ? "CaFile" : "CertificateFile")} "
                    + $"asks for TLS. Give https:// or dns:///, or leave the certificates out.");
            else if (expected.Length > 0 && !options.IsTls && !address.StartsWith("https://", StringComparison.Ordinal))
                faults.Add(
                    $"Stages:{stage}Name is the name of a certificate, and calls to '{address}' have no TLS. Give Stages:CaFile, or leave "
                    + "the name out.");
            if (expected.Length > 0 && Uri.CheckHostName(expected) == UriHostNameType.Unknown)
                faults.Add($"Stages:{stage}Name is '{expected}', which is no name of a certificate. Give a DNS name, such as resampler.");
        }

        if (options.CaFile.Length > 0) Try(() => TrustedCertificates.Of(options.Ca, options.Ca.Read()));
        if (options.CertificateFile.Length > 0) Try(() => OwnCertificate.Parse(
            options.Certificate, options.Certificate.Read(), options.Key, options.Key.Read(), CertificateUse.Client, time.GetUtcNow()));
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
