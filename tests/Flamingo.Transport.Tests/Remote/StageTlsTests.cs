using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Flamingo.Abstractions;
using Flamingo.Configuration.Certificates;
using Flamingo.Testing.Certificates;
using Flamingo.Transport.Remote;
using Flamingo.Transport.Tests.Serving;
using Grpc.Net.Client.Balancer;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace Flamingo.Transport.Tests.Remote;

/// <summary>TLS to replicas that are connected by their network addresses, as those behind a DNS name are.</summary>
public sealed class StageTlsTests : IDisposable
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
    public async Task The_certificate_of_every_replica_has_the_name_of_the_stage()
    {
        await using var first = await StartAsync(_authority.Issue("resampler"));
        await using var second = await StartAsync(_authority.Issue("other", "resampler"));
        using var channel = Open([first, second], new Clock());
        var resampler = new RemoteResampler(channel, TimeSpan.FromSeconds(5));
        while (first.Asked == 0 || second.Asked == 0) await resampler.DescribeAsync(Cancellation);
    }

    [Fact(Timeout = Limit)]
    public async Task A_certificate_that_does_not_hold_is_refused_with_its_reason()
    {
        await RefusedAsync(_authority.Issue("vision-encoder"), "does not have the name 'resampler'");
        await RefusedAsync(_authority.Issue(["resampler"], expired: true), "it is valid from");
        await RefusedAsync(_stranger.Issue("resampler"), "issued by CN=Stranger");
        await RefusedAsync(_authority.Issue(["resampler"], usages: [TestCertificate.ForClients]), "usage is not for TLS servers");
        await using var plain = await LoopbackServer.StartAsync(language: null);
        using var channel = Open([plain], new Clock());
        await UnavailableAsync(channel);

        async Task RefusedAsync(TestCertificate own, string reason)
        {
            await using var server = await StartAsync(own);
            using var refused = Open([server], new Clock());
            Assert.Contains(reason, await UnavailableAsync(refused), StringComparison.Ordinal);
            Assert.Equal(0, server.Asked);
        }
    }

    [Fact(Timeout = Limit)]
    public async Task A_replica_whose_certificate_is_refused_costs_no_call_while_another_is_well()
    {
        await using var expired = await StartAsync(_authority.Issue(["resampler"], expired: true));
        await using var well = await StartAsync(_authority.Issue("resampler"));
        using var channel = Open([expired, well], new Clock());
        var resampler = new RemoteResampler(channel, TimeSpan.FromSeconds(5));
        for (var call = 0; call < 20; call++) await resampler.DescribeAsync(Cancellation);
        Assert.Equal((0, 20), (expired.Asked, well.Asked));
    }

    [Fact(Timeout = Limit)]
    public async Task The_name_is_that_of_the_option_or_else_the_host_of_the_address()
    {
        await using var server = await StartAsync(_authority.Issue("models.example.org"));
        using var named = Open([server], new Clock(), "models.example.org");
        await new RemoteResampler(named, TimeSpan.FromSeconds(5)).DescribeAsync(Cancellation);
        using var unnamed = Open([server], new Clock());
        await UnavailableAsync(unnamed);
        Assert.Equal(
            ["resampler", "resampler", "resampler.flamingo.svc", "localhost", "127.0.0.1"],
            new[]
            {
                "dns:///resampler:8080", "static:///resampler", "dns:///resampler.flamingo.svc:8080", "https://localhost:8080",
                "https://127.0.0.1:8080",
            }.Select(StageTls.NameIn));
    }

    [Fact(Timeout = Limit)]
    public async Task One_server_by_https_is_checked_in_the_same_way()
    {
        await using var server = await StartAsync(_authority.Issue("localhost"));
        using var right = Open($"https://localhost:{server.Port}", null, new Clock());
        await new RemoteResampler(right, TimeSpan.FromSeconds(5)).DescribeAsync(Cancellation);
        using var wrong = Open($"https://localhost:{server.Port}", null, new Clock(), "resampler");
        Assert.Contains("name 'resampler'", await UnavailableAsync(wrong), StringComparison.Ordinal);
        // without options the system's authorities decide, who do not know this one
        using var system = StageChannel.Open($"https://localhost:{server.Port}", new RemoteStageOptions(), TimeProvider.System);
        await UnavailableAsync(system);
    }

    [Fact(Timeout = Limit)]
    public async Task The_stage_is_shown_the_certificate_that_the_files_hold_at_present()
    {
        using var between = new TestAuthority("Between", _authority);
        var (own, shown) = (_authority.Issue("gateway"), new List<string>());
        await using var server = await StartAsync(_authority.Issue("resampler"), certificate =>
        {
            lock (shown) shown.Add(certificate.Thumbprint);
            return true;
        });
        var clock = new Clock();
        var options = Certified(own);
        var tls = new StageTls(options, clock, NullLogger<StageTls>.Instance);
        for (var renewal = 0; renewal < 3; renewal++)
        {
            using var channel = StageChannel.Open("static:///resampler", options, clock, Replicas(server), tls);
            await new RemoteResampler(channel, TimeSpan.FromSeconds(5)).DescribeAsync(Cancellation);
            Assert.Equal(own.Load().Thumbprint, shown[^1]);
            own = _authority.Issue("gateway");
            _secret.Put(own, _authority.Pem);
            clock.Pass(FollowedFiles<object>.Period);
        }

        // A stage that asks for a certificate refuses a gateway without one.
        using var without = Open([server], clock);
        await UnavailableAsync(without);
    }

    [Fact(Timeout = Limit)]
    public async Task New_authorities_hold_for_new_connections_and_no_call_of_an_old_one_fails()
    {
        await using var old = await StartAsync(_authority.Issue("resampler"));
        await using var next = await StartAsync(_stranger.Issue("resampler"));
        var clock = new Clock();
        var options = Trusting(_authority.Pem);
        var tls = new StageTls(options, clock, NullLogger<StageTls>.Instance);
        using var open = StageChannel.Open("static:///resampler", options, clock, Replicas(old), tls);
        var resampler = new RemoteResampler(open, TimeSpan.FromSeconds(5));
        await resampler.DescribeAsync(Cancellation);
        using (var early = StageChannel.Open("static:///resampler", options, clock, Replicas(next), tls)) await UnavailableAsync(early);
        _secret.Put(("ca.crt", _stranger.Pem));
        clock.Pass(FollowedFiles<object>.Period);
        using var late = StageChannel.Open("static:///resampler", options, clock, Replicas(next), tls);
        await new RemoteResampler(late, TimeSpan.FromSeconds(5)).DescribeAsync(Cancellation);
        await resampler.DescribeAsync(Cancellation);
    }

    [Fact]
    public void Wrong_options_are_named_at_once()
    {
        _secret.Put(("ca.crt", "nothing"));
        Assert.Equal(
            [
                "Stages:CaFile is", "Stages:KeyFile has no effect", "Stages:LanguageModelName is 'a b'",
                "Stages:Resampler is 'http://resampler:8080', which is without TLS, while Stages:CaFile asks for TLS.",
            ],
            Faults(
                ("VisionEncoder", "dns:///vision-encoder:8080"), ("Resampler", "http://resampler:8080"),
                ("LanguageModel", "https://language-model:8080"), ("CaFile", _secret.CaFile), ("KeyFile", _secret.KeyFile),
                ("LanguageModelName", "a b")));
        Assert.Equal(
            ["Stages:ResamplerName is the name of a certificate, and calls to 'dns:///resampler:8080' have no TLS."],
            Faults(
                ("VisionEncoder", "dns:///vision-encoder:8080"), ("Resampler", "dns:///resampler:8080"),
                ("LanguageModel", "https://language-model:8080"), ("ResamplerName", "r"), ("LanguageModelName", "l")));
        var own = _authority.Issue("gateway");
        _secret.Put(own with { Key = _stranger.Issue("gateway").Key }, _authority.Pem);
        Assert.Equal(
            ["Stages:KeyFile is"],
            Faults(
                ("VisionEncoder", "dns:///vision-encoder:8080"), ("Resampler", "dns:///resampler:8080"),
                ("LanguageModel", "dns:///language-model:8080"), ("CaFile", _secret.CaFile), ("CertificateFile", _secret.CertificateFile),
                ("KeyFile", _secret.KeyFile)));
    }

    /// <returns>The faults up to what differs between runs.</returns>
    private static IEnumerable<string> Faults(params (string Key, string Value)[] stages)
    {
        var services = new ServiceCollection().AddRemoteStages();
        services.AddSingleton<IConfiguration>(new ConfigurationBuilder()
            .AddInMemoryCollection(stages.Select(option => KeyValuePair.Create($"Stages:{option.Key}", (string?)option.Value))).Build());
        using var provider = services.BuildServiceProvider();
        var refusal = Assert.Throws<OptionsValidationException>(() => provider.GetRequiredService<IOptions<RemoteStageOptions>>().Value);
        return refusal.Failures.Order(StringComparer.Ordinal).Select(fault => fault switch
        {
            _ when fault.Contains("no PEM certificate", StringComparison.Ordinal) => fault[..fault.IndexOf(" '", StringComparison.Ordinal)],
            _ when fault.Contains("is not the key", StringComparison.Ordinal) => fault[..fault.IndexOf(" '", StringComparison.Ordinal)],
            _ when fault.Contains("has no effect", StringComparison.Ordinal) => fault[..fault.IndexOf(" without", StringComparison.Ordinal)],
            _ when fault.Contains("'a b'", StringComparison.Ordinal) => fault[..fault.IndexOf(',', StringComparison.Ordinal)],
            _ => fault[..(fault.IndexOf(". Give", StringComparison.Ordinal) + 1)],
        });
    }

    private static async Task<string> UnavailableAsync(StageChannel channel)
    {
        var failure = await Assert.ThrowsAsync<FlamingoException>(
            () => new RemoteResampler(channel, TimeSpan.FromMilliseconds(200)).DescribeAsync(Cancellation));
        Assert.Equal(FlamingoErrorKind.Unavailable, failure.Kind);
        return failure.Message;
    }

    /// <param name="caller">Whether a caller's certificate is accepted; null asks callers for none.</param>
    private static Task<LoopbackServer> StartAsync(TestCertificate own, Func<X509Certificate2, bool>? caller = null) =>
        LoopbackServer.StartAsync(language: null, listen => listen.UseHttps(new TlsHandshakeCallbackOptions
        {
            OnConnection = _ => ValueTask.FromResult(new SslServerAuthenticationOptions
            {
                ServerCertificate = own.Load(), ClientCertificateRequired = caller is not null,
                RemoteCertificateValidationCallback = (_, certificate, _, _) =>
                    caller is null || (certificate is X509Certificate2 shown && caller(shown)),
            }),
        }));

    private RemoteStageOptions Trusting(string authorities)
    {
        _secret.Put(("ca.crt", authorities));
        return new RemoteStageOptions { CaFile = _secret.CaFile };
    }

    private RemoteStageOptions Certified(TestCertificate own)
    {
        _secret.Put(own, _authority.Pem);
        return new RemoteStageOptions
        {
            CaFile = _secret.CaFile, CertificateFile = _secret.CertificateFile, KeyFile = _secret.KeyFile,
        };
    }

    private StageChannel Open(IReadOnlyList<LoopbackServer> servers, TimeProvider time, string? name = null) =>
        Open("static:///resampler", Replicas([.. servers]), time, name);

    private StageChannel Open(string address, ResolverFactory? resolver, TimeProvider time, string? name = null)
    {
        var options = Trusting(_authority.Pem);
        return StageChannel.Open(address, options, time, resolver, new StageTls(options, time, NullLogger<StageTls>.Instance), name);
    }

    private static StaticResolverFactory Replicas(params LoopbackServer[] servers) =>
        new(_ => servers.Select(server => new BalancerAddress("127.0.0.1", server.Port)));

    /// <summary>A clock that also runs on when the test says so. Its timers run as usual.</summary>
    private sealed class Clock : TimeProvider
    {
        private long _passed;

        public void Pass(TimeSpan time) => Interlocked.Add(ref _passed, time.Ticks * TimestampFrequency / TimeSpan.TicksPerSecond);

        public override long GetTimestamp() => System.GetTimestamp() + Interlocked.Read(ref _passed);
    }
}
