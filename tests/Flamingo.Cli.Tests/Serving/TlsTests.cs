using Flamingo.Cli.Tests.Running;
using Flamingo.Testing.Certificates;

namespace Flamingo.Cli.Tests.Serving;

/// <summary><c>flamingo serve</c> with certificates, and what commands need to call it.</summary>
public sealed class TlsTests : IDisposable
{
    private readonly TestAuthority _authority = new(), _ofClients = new("Root of clients");
    private readonly MountedSecret _server = new(), _client = new();

    public void Dispose()
    {
        _authority.Dispose();
        _ofClients.Dispose();
        _server.Dispose();
        _client.Dispose();
    }

    [Fact(Timeout = 120_000)]
    public async Task A_server_with_mutual_TLS_answers_on_both_ports_who_trusts_it_and_shows_a_certificate()
    {
        _server.Put(_authority.Issue("localhost"), _ofClients.Pem);
        _client.Put(_ofClients.Issue("somebody"), _authority.Pem);
        var http = RunningServer.FreePort();
        await using var serving = new RunningServer
        {
            IsTls = true,
            Arguments =
            [
                "--http-port", $"{http}", "--Endpoints:Listen=loopback", $"--Tls:CertificateFile={_server.CertificateFile}",
                $"--Tls:KeyFile={_server.KeyFile}", $"--Tls:ClientCaFile={_server.CaFile}",
            ],
        };
        await serving.InitializeAsync();
        string[] ask = ["generate", "--prompt", Examples.Prompt("caption.json"), "--server"];
        string[] trust = ["--ca", _client.CaFile], show = ["--cert", _client.CertificateFile, "--cert-key", _client.KeyFile];
        var golden = Examples.Golden("caption-query.png", 0).Text.Trim();
        foreach (var address in new[] { serving.Address, $"https://localhost:{http}" })
            Assert.Equal(golden, (await FlamingoCommand.RunAsync([.. ask, address, .. trust, .. show])).MustReturn(0).Output.Trim());

        await FailsAsync("asks its callers for a certificate", [.. ask, serving.Address, .. trust]);
        await FailsAsync("no TLS connection could be made", [.. ask, serving.Address, .. show]);
        await FailsAsync("https://", [.. ask, $"http://localhost:{serving.Port}"]);

        using var folder = new TemporaryFolder();
        var lines = folder.Write("lines.jsonl",
            """{"custom_id":"a","method":"POST","url":"/v1/completions","body":{"model":"shapes","prompt":"a","max_tokens":2}}""");
        var output = folder.File("answers.jsonl");
        (await FlamingoCommand.RunAsync(
            ["batch", "--input", lines, "--output", output, "--server", $"https://localhost:{http}", .. trust, .. show])).MustReturn(0);
        Assert.Contains("\"a\"", await File.ReadAllTextAsync(output, TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }

    [Theory(Timeout = 60_000)]
    [InlineData("--ca has no effect without --server", "--ca", "ca.pem")]
    [InlineData("--cert-key has no effect without --cert", "--server", "https://localhost:1", "--cert-key", "key.pem")]
    [InlineData("--ca has no effect on http://localhost:1, which is without TLS", "--server", "http://localhost:1", "--ca", "ca.pem")]
    [InlineData("--ca is 'none.pem': there is no such file", "--server", "https://localhost:1", "--ca", "none.pem")]
    public async Task Options_that_do_nothing_are_refused(string said, params string[] given)
    {
        string[] ask = ["generate", "--prompt", Examples.Prompt("caption.json")];
        Assert.Contains(said, (await FlamingoCommand.RunAsync([.. ask, .. given])).MustReturn(2).Error, StringComparison.Ordinal);
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    [Fact(Timeout = 60_000)]
    public async Task A_server_whose_certificate_cannot_be_used_does_not_start()
    {
        _server.Put(_authority.Issue(["localhost"], expired: true), "nothing");
        var faults = (await FlamingoCommand.RunAsync(
            "serve", "--grpc-port", $"{RunningServer.FreePort()}", $"--Tls:CertificateFile={_server.CertificateFile}",
            $"--Tls:KeyFile={_server.KeyFile}", $"--Tls:ClientCaFile={_server.CaFile}")).MustReturn(2).Error.Trim().Split('\n');
        Assert.Contains(faults, fault => fault.Contains("Tls:CertificateFile is", StringComparison.Ordinal) && fault.Contains("expired"));
        Assert.Contains(faults, fault => fault.Contains("Tls:ClientCaFile is", StringComparison.Ordinal));
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    private static async Task FailsAsync(string said, string[] command) =>
        Assert.Contains(said, (await FlamingoCommand.RunAsync(command)).MustReturn(1).Error, StringComparison.Ordinal);
}
