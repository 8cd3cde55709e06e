using System.CommandLine;
using System.Security.Cryptography.X509Certificates;
using Flamingo.Cli.Arguments;
using Flamingo.Cli.Reporting;
using Flamingo.Configuration.Certificates;

namespace Flamingo.Cli.Running;

/// <summary>
/// <c>--ca</c>, <c>--cert</c> and <c>--cert-key</c>, which every command with <c>--server</c> has: whom the command trusts at
/// <c>https://</c>, and what it shows to a server that asks for a certificate.
/// </summary>
public static class CertificateOptions
{
    private const string Ca = "--ca", Certificate = "--cert", Key = "--cert-key";

    /// <summary>Adds the options to a command, and the rules that they keep with the address of the server.</summary>
    public static void AddTo(Command command, Option<Uri> server)
    {
        var ca = new Option<string>(Ca)
        {
            HelpName = "FILE",
            Description = "PEM file of the authorities that may have issued the server's certificate. Default: the system's.",
        };
        var certificate = new Option<string>(Certificate)
        {
            HelpName = "FILE", Description = "PEM file of a certificate to show to a server that asks for one (mutual TLS).",
        };
        var key = new Option<string>(Key)
        {
            HelpName = "FILE", Description = $"PEM file of its private key. Default: the file of {Certificate}.",
        };
        foreach (var option in new[] { ca, certificate, key }) command.Add(option);
        command.AddRule(result =>
        {
            var given = new[] { ca, certificate, key }.Where(option => result.GetResult(option) is not null).ToList();
            if (given.Count == 0) return;
            if (result.GetResult(server) is null)
                result.AddError($"{given[0].Name} has no effect without --server. Leave it out, or name the server.");
            else if (result.GetResult(server)!.Tokens is [{ Value: var address }]
                && address.StartsWith("http://", StringComparison.OrdinalIgnoreCase))
                result.AddError($"{given[0].Name} has no effect on {address}, which is without TLS. Name the server by https://.");
            if (given.Contains(key) && !given.Contains(certificate))
                result.AddError($"{Key} has no effect without {Certificate}. Give the certificate of the key, or leave the key out.");
        });
    }

    /// <returns>The authorities and the certificate that were given; null for each that was not.</returns>
    /// <exception cref="UsageException">A file cannot be used.</exception>
    public static (X509Certificate2Collection? Authorities, X509Certificate2? Own) Read(ParseResult parsed)
    {
        try
        {
            var authorities = parsed.GetValue<string>(Ca) is { } ca ? Authorities(new PemFile(Ca, ca)) : null;
            if (parsed.GetValue<string>(Certificate) is not { } certificate) return (authorities, null);
            var file = new PemFile(Certificate, certificate);
            var key = parsed.GetValue<string>(Key) is { } given ? new PemFile(Key, given) : file;
            var own = OwnCertificate.Parse(
                file, file.Read(), key, key.Read(), CertificateUse.Client, TimeProvider.System.GetUtcNow());
            return (authorities, own.Certificate);
        }
        catch (InvalidDataException exception)
        {
            throw new UsageException(exception.Message);
        }

        static X509Certificate2Collection Authorities(PemFile file) => TrustedCertificates.Of(file, file.Read()).Authorities;
    }
}
