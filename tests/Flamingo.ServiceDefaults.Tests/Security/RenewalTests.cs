using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Flamingo.Configuration.Certificates;
using Flamingo.ServiceDefaults.Security;
using Flamingo.Testing.Certificates;
using Grpc.Core;
using Grpc.Health.V1;

namespace Flamingo.ServiceDefaults.Tests.Security;

/// <summary>Certificates that change while a service runs.</summary>
public sealed class RenewalTests : IDisposable
{
    private const int Limit = 120_000;

    private readonly TestAuthority _authority = new(), _next = new("Next root");
    private readonly MountedSecret _secret = new();
    private readonly Clock _clock = new();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        _authority.Dispose();
        _next.Dispose();
        _secret.Dispose();
    }

    [Fact(Timeout = Limit)]
    public async Task Renewed_under_load_no_call_fails_and_new_connections_see_the_new_certificate()
    {
        await using var server = await StartAsync(_authority.Issue("localhost"));
        using var channel = server.Channel(_authority);
        using var stream = new Health.HealthClient(channel).Watch(new HealthCheckRequest(), cancellationToken: Cancellation);
        Assert.True(await stream.ResponseStream.MoveNext(Cancellation));

        var (stop, calls) = (new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously), 0);
        var callers = Enumerable.Range(0, 4).Select(_ => Task.Run(async () =>
        {
            while (!stop.Task.IsCompleted)
            {
                await server.CheckAsync(_authority); // each call makes a connection
                Interlocked.Increment(ref calls);
            }
        }, Cancellation)).ToList();
        var shown = new HashSet<string>();
        for (var renewal = 0; renewal < 10; renewal++)
        {
            var own = _authority.Issue("localhost");
            _secret.Put(own, _authority.Pem);
            _clock.Pass(FollowedFiles<object>.Period);
            var before = Volatile.Read(ref calls);
            while (await ShownAsync(server) != own.Load().Thumbprint || Volatile.Read(ref calls) < before + 8)
                Cancellation.ThrowIfCancellationRequested();
            shown.Add(own.Load().Thumbprint);
        }

        stop.SetResult();
        await Task.WhenAll(callers);
        Assert.Equal(10, shown.Count);
        Assert.InRange(calls, 80, int.MaxValue);
        // the connection and the stream of before
        Assert.Equal(HealthCheckResponse.Types.ServingStatus.Serving,
            (await new Health.HealthClient(channel).CheckAsync(new HealthCheckRequest(), cancellationToken: Cancellation)).Status);
        var next = stream.ResponseStream.MoveNext(Cancellation);
        Assert.True(!next.IsCompleted || await next); // it goes on, and may have a further status to say
        Assert.Empty(server.Warnings);
    }

    [Fact(Timeout = Limit)]
    public async Task Files_that_cannot_be_used_leave_the_certificate_as_it_was_and_are_named_once()
    {
        var first = _authority.Issue("localhost");
        await using var server = await StartAsync(first);
        var (wrongKey, expired) = (_authority.Issue("localhost") with { Key = first.Key }, _authority.Issue(["localhost"], expired: true));
        foreach (var own in new[] { wrongKey, expired })
        {
            _secret.Put(own, _authority.Pem);
            for (var look = 0; look < 3; look++)
            {
                _clock.Pass(FollowedFiles<object>.Period);
                Assert.Equal(first.Load().Thumbprint, await ShownAsync(server));
            }
        }

        Assert.Equal(2, server.Warnings.Count);
        Assert.Contains("is not the key of the certificate", server.Warnings[0], StringComparison.Ordinal);
        Assert.Contains("expired at", server.Warnings[1], StringComparison.Ordinal);
        var second = _authority.Issue("localhost");
        _secret.Put(second, _authority.Pem);
        _clock.Pass(FollowedFiles<object>.Period);
        Assert.Equal(second.Load().Thumbprint, await ShownAsync(server));
    }

    [Fact(Timeout = Limit)]
    public async Task The_authorities_of_callers_change_too()
    {
        await using var server = await StartAsync(_authority.Issue("localhost"), ("ClientCaFile", _secret.CaFile));
        var (old, next) = (_authority.Issue("gateway"), _next.Issue("gateway"));
        await server.CheckAsync(_authority, old);
        await Assert.ThrowsAsync<RpcException>(() => server.CheckAsync(_authority, next));
        _secret.Put(_authority.Issue("localhost"), _authority.Pem + "\n" + _next.Pem); // both, as an operator does it
        _clock.Pass(FollowedFiles<object>.Period);
        await server.CheckAsync(_authority, old);
        await server.CheckAsync(_authority, next);
        _secret.Put(_authority.Issue("localhost"), _next.Pem);
        _clock.Pass(FollowedFiles<object>.Period);
        await server.CheckAsync(_authority, next);
        await Assert.ThrowsAsync<RpcException>(() => server.CheckAsync(_authority, old));
    }

    [Fact(Timeout = Limit)]
    public async Task The_probe_works_with_tls_and_mutual_tls()
    {
        var own = _authority.Issue(["service"], usages: [TestCertificate.ForServers]);
        foreach (var options in new (string, string)[][] { [], [("ClientCaFile", _secret.CaFile), ("ClientNames", "gateway")] })
        {
            await using var server = await StartAsync(own, options);
            var tls = new TlsOptions { CertificateFile = _secret.CertificateFile, KeyFile = _secret.KeyFile };
            Assert.Equal(0, await HealthProbe.RunAsync(server.Port, ServiceHealth.Ready, tls));
            Assert.Equal(1, await HealthProbe.RunAsync(server.Port, ServiceHealth.Ready));
            Assert.Equal(1, await HealthProbe.RunAsync(server.HttpPort, ServiceHealth.Ready, tls));
        }
    }

    private Task<TlsServer> StartAsync(TestCertificate own, params (string Key, string Value)[] options)
    {
        _secret.Put(own, _authority.Pem);
        return TlsServer.StartAsync(_clock, [("CertificateFile", _secret.CertificateFile), ("KeyFile", _secret.KeyFile), .. options]);
    }

    private static async Task<string> ShownAsync(TlsServer server)
    {
        using var socket = new System.Net.Sockets.TcpClient();
        await socket.ConnectAsync(System.Net.IPAddress.Loopback, server.Port, Cancellation);
        using var tls = new SslStream(socket.GetStream());
        await tls.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
        {
            TargetHost = "localhost", ApplicationProtocols = [SslApplicationProtocol.Http2],
            RemoteCertificateValidationCallback = (_, _, _, _) => true,
        }, Cancellation);
        return ((X509Certificate2)tls.RemoteCertificate!).Thumbprint;
    }

    /// <summary>A clock that also runs on when the test says so. Its timers run as usual.</summary>
    private sealed class Clock : TimeProvider
    {
        private long _passed;

        public void Pass(TimeSpan time) => Interlocked.Add(ref _passed, time.Ticks * TimestampFrequency / TimeSpan.TicksPerSecond);

        public override long GetTimestamp() => System.GetTimestamp() + Interlocked.Read(ref _passed);
    }
}
