using Flamingo.Testing.Certificates;
using Microsoft.Extensions.Options;

namespace Flamingo.ServiceDefaults.Tests.Security;

/// <summary>Wrong options and files of TLS prevent the start, and all of them are named at once with what to do.</summary>
public sealed class TlsOptionsTests : IDisposable
{
    private readonly TestAuthority _authority = new();
    private readonly MountedSecret _secret = new();

    public void Dispose()
    {
        _authority.Dispose();
        _secret.Dispose();
    }

    [Fact(Timeout = 60_000)]
    public async Task A_missing_certificate_is_named_for_each_option_that_needs_it()
    {
        _secret.Put(_authority.Issue("localhost"), _authority.Pem);
        var faults = await FaultsAsync(("KeyFile", _secret.KeyFile), ("ClientCaFile", _secret.CaFile), ("ClientNames", "a b"));
        Assert.Equal(3, faults.Count);
        Assert.Contains(faults, fault => fault.StartsWith("Tls:KeyFile has no effect", StringComparison.Ordinal));
        Assert.Contains(faults, fault => fault.StartsWith("Tls:ClientCaFile asks", StringComparison.Ordinal));
        Assert.Contains(faults, fault => fault.Contains("'a b'", StringComparison.Ordinal));
        Assert.Contains(
            await FaultsAsync(("CertificateFile", _secret.CertificateFile), ("KeyFile", _secret.KeyFile), ("ClientNames", "gateway")),
            fault => fault.StartsWith("Tls:ClientNames has no effect", StringComparison.Ordinal));
    }

    [Fact(Timeout = 60_000)]
    public async Task Files_that_cannot_be_used_are_named_with_the_remedy()
    {
        var (own, other) = (_authority.Issue("localhost"), _authority.Issue("localhost"));
        var damaged = own.Chain.Replace("\nM", "\n?", StringComparison.Ordinal);
        var cut = own.Chain[..(own.Chain.Length / 2)] + "\n-----END CERTIFICATE-----\n";
        using var locked = System.Security.Cryptography.ECDsa.Create();
        var encrypted = locked.ExportEncryptedPkcs8PrivateKeyPem("secret", new(
            System.Security.Cryptography.PbeEncryptionAlgorithm.Aes128Cbc, System.Security.Cryptography.HashAlgorithmName.SHA256, 1000));

        await NamedAsync(own.Chain, other.Key, "Tls:KeyFile is", "is not the key of the certificate");
        await NamedAsync(own.Chain, encrypted, "Tls:KeyFile is", "encrypted", "openssl pkey");
        await NamedAsync(own.Chain, "", "Tls:KeyFile is", "holds no private key");
        await NamedAsync(own.Chain, own.Key.Replace("M", "?", StringComparison.Ordinal), "Tls:KeyFile is");
        await NamedAsync(damaged, own.Key, "Tls:CertificateFile is", "damaged");
        await NamedAsync(cut, own.Key, "Tls:CertificateFile is", "damaged");
        await NamedAsync("certificate", own.Key, "Tls:CertificateFile is", "no PEM certificate");
        await NamedAsync(own.Key, own.Key, "Tls:CertificateFile is", "no PEM certificate");
        var expired = _authority.Issue(["localhost"], expired: true);
        await NamedAsync(expired.Chain, expired.Key, "Tls:CertificateFile is", "expired at", "Give one that is valid");
        var client = _authority.Issue(["localhost"], usages: [TestCertificate.ForClients]);
        await NamedAsync(client.Chain, client.Key, "Tls:CertificateFile is", "not for TLS servers");

        async Task NamedAsync(string chain, string key, params string[] words)
        {
            _secret.Put(("tls.crt", chain), ("tls.key", key));
            var fault = Assert.Single(await FaultsAsync(("CertificateFile", _secret.CertificateFile), ("KeyFile", _secret.KeyFile)));
            Assert.All(words, word => Assert.Contains(word, fault, StringComparison.Ordinal));
            if (key.Length > 0) Assert.DoesNotContain(key.Split('\n')[1], fault, StringComparison.Ordinal);
        }
    }

    [Fact(Timeout = 60_000)]
    public async Task All_faults_are_reported_at_once()
    {
        _secret.Put(("tls.crt", "x"), ("ca.crt", "y"));
        var faults = await FaultsAsync(("CertificateFile", _secret.CertificateFile), ("KeyFile", _secret["none"]),
            ("ClientCaFile", _secret.CaFile), ("Files", "z"));
        Assert.Contains(faults, fault => fault.StartsWith("Tls:ClientCaFile is", StringComparison.Ordinal));
        Assert.Contains(faults, fault => fault.StartsWith("Tls:Files is no option", StringComparison.Ordinal));
        Assert.Contains(faults, fault => fault.StartsWith("Tls:KeyFile is", StringComparison.Ordinal) && fault.Contains("no such file"));
    }

    [Fact(Timeout = 60_000)]
    public async Task Key_and_certificate_may_be_in_one_file()
    {
        var own = _authority.Issue("localhost");
        _secret.Put(("both.pem", own.Key + own.Chain));
        await using var server = await TlsServer.StartAsync(TimeProvider.System, ("CertificateFile", _secret["both.pem"]));
        await server.CheckAsync(_authority);
    }

    private static async Task<IReadOnlyList<string>> FaultsAsync(params (string Key, string Value)[] options)
    {
        var refusal = await Assert.ThrowsAsync<OptionsValidationException>(async () =>
        {
            await using var server = await TlsServer.StartAsync(TimeProvider.System, options);
        });
        return [.. refusal.Failures];
    }
}
