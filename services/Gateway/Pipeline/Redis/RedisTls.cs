using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Flamingo.Configuration.Certificates;
using Flamingo.Gateway.SupportSets;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using StackExchange.Redis;

namespace Flamingo.Gateway.Redis;

/// <summary>
/// TLS of one connection to Redis. Every handshake uses the authorities and the certificate that the files hold then. The reason why Redis'
/// certificate is refused is logged once, because the client library tries again every second and tells no reason.
/// </summary>
internal sealed class RedisTls
{
    private readonly ILogger _log;
    private readonly FollowedFiles<TrustedCertificates>? _authorities;
    private readonly FollowedFiles<OwnCertificate>? _own;
    private string? _refused;

    /// <exception cref="InvalidDataException">A file cannot be used. The options validation reports this first.</exception>
    public RedisTls(RedisOptions options, TimeProvider time, ILogger log)
    {
        _log = log;
        _authorities = options.CaFile.Length == 0 ? null : new FollowedFiles<TrustedCertificates>(
            [options.Ca], texts => TrustedCertificates.Of(options.Ca, texts[0]), time,
            read => RedisLog.AuthoritiesRead(log, read.Authorities.Count), problem => RedisLog.CertificateDamaged(log, problem));
        _own = options.CertificateFile.Length == 0 ? null : new FollowedFiles<OwnCertificate>(
            [options.Certificate, options.Key],
            texts => OwnCertificate.Parse(
                options.Certificate, texts[0], options.Key, texts[1], CertificateUse.Client, time.GetUtcNow()), time,
            renewed => RedisLog.CertificateRead(log, $"{renewed}"), problem => RedisLog.CertificateDamaged(log, problem));
    }

    /// <summary>Turns TLS on for a connection. The host of each server, or the connection string's <c>sslHost</c>, is the name in its
    /// certificate.</summary>
    public void Configure(ConfigurationOptions configuration)
    {
        configuration.Ssl = true;
        configuration.SslClientAuthenticationOptions = host => new SslClientAuthenticationOptions
        {
            TargetHost = host, CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
            LocalCertificateSelectionCallback = _own is null ? null : (_, _, _, _, _) => _own.Value.Certificate,
            RemoteCertificateValidationCallback = (_, certificate, chain, errors) =>
                IsRedis(certificate as X509Certificate2, chain, errors, host),
        };
    }

    private bool IsRedis(X509Certificate2? certificate, X509Chain? chain, SslPolicyErrors errors, string host)
    {
        var reason = certificate is null ? "Redis showed none"
            : _authorities is { } trusted && trusted.Value.WhyNot(certificate, chain, CertificateUse.Server) is { } problem ? problem
            : _authorities is null && errors.HasFlag(SslPolicyErrors.RemoteCertificateChainErrors)
                ? "the system's authorities do not vouch for it"
            : certificate.MatchesHostname(host) ? null : $"it ({certificate.Subject}) does not have the name '{host}'";
        if (reason is not null && reason != Interlocked.Exchange(ref _refused, reason)) RedisLog.CertificateRefused(_log, host, reason);
        return reason is null;
    }
}

/// <summary>Checks at the start that the options of user, password and TLS fit together, and that their files can be used.</summary>
internal sealed class RedisTlsRules(IOptions<SupportSetOptions> sets, TimeProvider time) : IValidateOptions<RedisOptions>
{
    public ValidateOptionsResult Validate(string? name, RedisOptions options)
    {
        var faults = new List<string>();
        var own = Values(options.ConnectionString);
        if (options.ConnectionString.Length == 0 && (options.User.Length > 0 || options.Password.Length > 0))
            faults.Add("Redis:User and Redis:Password have no effect without Redis:ConnectionString. Give it, or leave them out.");
        if (options is { User.Length: > 0, Password.Length: 0 })
            faults.Add("Redis:User has no effect without Redis:Password. Give the password of the user.");
        if (options.Password.Length > 0 && own.ContainsKey("password"))
            faults.Add("Redis:Password and Redis:ConnectionString both have a password. Give it in one place.");
        if (options.User.Length > 0 && own.ContainsKey("user"))
            faults.Add("Redis:User and Redis:ConnectionString both have a user. Give it in one place.");
        if (options is { KeyFile.Length: > 0, CertificateFile.Length: 0 })
            faults.Add("Redis:KeyFile has no effect without Redis:CertificateFile. Give the certificate of the key, or leave the key out.");
        if (options.IsTls) CheckTls();
        if (options.CaFile.Length > 0) Try(() => TrustedCertificates.Of(options.Ca, options.Ca.Read()));
        if (options.CertificateFile.Length > 0) Try(() => OwnCertificate.Parse(
            options.Certificate, options.Certificate.Read(), options.Key, options.Key.Read(), CertificateUse.Client, time.GetUtcNow()));
        return faults.Count == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(faults);

        void CheckTls()
        {
            var asks = options.CaFile.Length > 0 ? "Redis:CaFile" : "Redis:CertificateFile";
            var ofSets = SetsConnection();
            if (options.ConnectionString.Length == 0 && ofSets.Length == 0)
                faults.Add($"{asks} has no effect without Redis:ConnectionString. Give it, or leave the file out.");
            foreach (var (option, text) in new[]
            {
                ("Redis:ConnectionString", options.ConnectionString), ("SupportSets:ConnectionString", ofSets),
            })
                if (Values(text).TryGetValue("ssl", out var ssl) && !string.Equals(ssl, "true", StringComparison.OrdinalIgnoreCase))
                    faults.Add($"{option} says ssl={ssl}, while {asks} asks for TLS. Leave one of them out.");
        }

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

    // The faults of that section are reported by its own rules.
    private string SetsConnection()
    {
        try
        {
            return sets.Value.ConnectionString;
        }
        catch (OptionsValidationException)
        {
            return "";
        }
    }

    private static Dictionary<string, string> Values(string connectionString) => connectionString.Split(',')
        .Select(part => part.Split('=', 2, StringSplitOptions.TrimEntries)).Where(part => part.Length == 2)
        .GroupBy(part => part[0], StringComparer.OrdinalIgnoreCase)
        .ToDictionary(group => group.Key, group => group.Last()[1], StringComparer.OrdinalIgnoreCase);
}
