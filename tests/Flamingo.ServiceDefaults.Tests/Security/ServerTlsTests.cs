using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using Flamingo.Testing.Certificates;
using Grpc.Core;
using Grpc.Health.V1;
using Grpc.Net.Client;

namespace Flamingo.ServiceDefaults.Tests.Security;

/// <summary>The ports of a service with TLS and mutual TLS, over real connections.</summary>
public sealed class ServerTlsTests : IDisposable
{
    private const int Limit = 60_000;

    private readonly TestAuthority _authority = new(), _stranger = new("Stranger");
    private readonly MountedSecret _secret = new();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        _authority.Dispose();
        _stranger.Dispose();
        _secret.Dispose();
    }

    [Fact(Timeout = Limit)]
    public async Task Both_ports_use_the_certificate_and_serve_no_plaintext()
    {
        await using var server = await StartAsync(_authority.Issue("localhost"));
        await server.CheckAsync(_authority);
        using var browser = new HttpClient(new SocketsHttpHandler { SslOptions = { CertificateChainPolicy = TlsServer.Trusting(_authority) } });
        Assert.Equal("served", await browser.GetStringAsync($"https://localhost:{server.HttpPort}/", Cancellation));

        using var plaintext = GrpcChannel.ForAddress($"http://127.0.0.1:{server.Port}");
        await Assert.ThrowsAsync<RpcException>(
            () => new Health.HealthClient(plaintext).CheckAsync(new HealthCheckRequest(), cancellationToken: Cancellation).ResponseAsync);
        using var old = new HttpClient();
        await Assert.ThrowsAsync<HttpRequestException>(() => old.GetAsync($"http://127.0.0.1:{server.HttpPort}/", Cancellation));
    }

    [Fact(Timeout = Limit)]
    public async Task A_caller_refuses_a_certificate_of_another_name_or_authority()
    {
        await using var server = await StartAsync(_authority.Issue("vision-encoder"));
        await server.CheckAsync(_authority, name: "vision-encoder");
        await RefusedAsync(() => server.CheckAsync(_authority, name: "resampler"));
        await RefusedAsync(() => server.CheckAsync(_stranger, name: "vision-encoder"));
    }

    [Fact(Timeout = Limit)]
    public async Task A_caller_knows_only_the_root_and_is_shown_what_lies_between()
    {
        using var between = new TestAuthority("Between", _authority);
        await using var server = await StartAsync(between.Issue("localhost"));
        await server.CheckAsync(_authority);
    }

    [Fact(Timeout = Limit)]
    public async Task Mutual_tls_serves_only_callers_of_its_authority_and_names()
    {
        using var between = new TestAuthority("Between", _authority);
        var own = _authority.Issue(["localhost"], usages: [TestCertificate.ForServers]);
        await using var server = await StartAsync(own, ("ClientCaFile", _secret.CaFile), ("ClientNames", "gateway, other-gateway"));
        await server.CheckAsync(_authority, _authority.Issue("gateway"));
        await server.CheckAsync(_authority, _authority.Issue("something", "other-gateway"));
        await server.CheckAsync(_authority, own); // it is the service itself, for example its health check
        await RefusedAsync(() => server.CheckAsync(_authority));
        await RefusedAsync(() => server.CheckAsync(_authority, _stranger.Issue("gateway")));
        await RefusedAsync(() => server.CheckAsync(_authority, _authority.Issue("stranger")));
        await RefusedAsync(() => server.CheckAsync(_authority, _authority.Issue("*.gateway")));
        await RefusedAsync(() => server.CheckAsync(_authority, _authority.Issue(["gateway"], expired: true)));
        await RefusedAsync(() => server.CheckAsync(_authority, _authority.Issue(["gateway"], usages: [TestCertificate.ForServers])));
        // The other of its name and authority is not the service itself.
        await RefusedAsync(() => server.CheckAsync(_authority, _authority.Issue(["localhost"], usages: [TestCertificate.ForServers])));

        var warning = Assert.Single(server.Warnings); // at most one a minute
        Assert.Contains("showed no certificate", warning, StringComparison.Ordinal);
    }

    [Fact(Timeout = Limit)]
    public async Task A_refused_caller_is_named_with_the_reason_in_the_log()
    {
        await using var server = await StartAsync(
            _authority.Issue("localhost"), ("ClientCaFile", _secret.CaFile), ("ClientNames", "gateway"));
        await RefusedAsync(() => server.CheckAsync(_authority, _stranger.Issue("gateway")));
        var warning = Assert.Single(server.Warnings);
        Assert.Contains("CN=gateway", warning, StringComparison.Ordinal);
        Assert.Contains("issued by CN=Stranger", warning, StringComparison.Ordinal);
    }

    [Fact(Timeout = Limit)]
    public async Task The_port_of_http_asks_for_the_same_certificate()
    {
        await using var server = await StartAsync(_authority.Issue("localhost"), ("ClientCaFile", _secret.CaFile));
        using var without = new HttpClient(new SocketsHttpHandler { SslOptions = { CertificateChainPolicy = TlsServer.Trusting(_authority) } });
        await Assert.ThrowsAsync<HttpRequestException>(() => without.GetAsync($"https://localhost:{server.HttpPort}/", Cancellation));
        using var with = new HttpClient(new SocketsHttpHandler
        {
            SslOptions =
            {
                CertificateChainPolicy = TlsServer.Trusting(_authority), ClientCertificates = [_authority.Issue("someone").Load()],
            },
        });
        Assert.Equal("served", await with.GetStringAsync($"https://localhost:{server.HttpPort}/", Cancellation));
    }

    [Fact(Timeout = Limit)]
    public async Task A_caller_without_the_negotiation_of_HTTP_2_is_told_or_left_and_fills_no_log()
    {
        await using var server = await StartAsync(_authority.Issue("localhost"));
        Assert.Contains("only HTTP/2 with TLS", await AnswerAsync("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), StringComparison.Ordinal);
        Assert.Equal("", await AnswerAsync("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
        Assert.Empty(server.Warnings);

        async Task<string> AnswerAsync(string request)
        {
            using var socket = new TcpClient();
            await socket.ConnectAsync(IPAddress.Loopback, server.Port, Cancellation);
            await using var tls = new SslStream(socket.GetStream());
            await tls.AuthenticateAsClientAsync(
                new SslClientAuthenticationOptions { TargetHost = "localhost", CertificateChainPolicy = TlsServer.Trusting(_authority) },
                Cancellation);
            await tls.WriteAsync(System.Text.Encoding.ASCII.GetBytes(request), Cancellation);
            using var reader = new StreamReader(tls);
            return await reader.ReadToEndAsync(Cancellation);
        }
    }

    [Fact(Timeout = Limit)]
    public async Task A_silent_connection_delays_nobody()
    {
        await using var server = await StartAsync(_authority.Issue("localhost"));
        using var silent = new TcpClient();
        await silent.ConnectAsync(IPAddress.Loopback, server.Port, Cancellation);
        await server.CheckAsync(_authority);
    }

    private Task<TlsServer> StartAsync(TestCertificate own, params (string Key, string Value)[] options)
    {
        _secret.Put(own, _authority.Pem);
        return TlsServer.StartAsync(
            TimeProvider.System, [("CertificateFile", _secret.CertificateFile), ("KeyFile", _secret.KeyFile), .. options]);
    }

    private static async Task RefusedAsync(Func<Task> call)
    {
        var refusal = await Assert.ThrowsAsync<RpcException>(call);
        Assert.True(refusal.StatusCode is StatusCode.Unavailable or StatusCode.Internal, $"{refusal}");
    }
}
