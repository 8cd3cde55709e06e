using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Flamingo.Abstractions;
using Flamingo.Fixtures;
using Flamingo.Testing;
using Grpc.Core;
using Microsoft.Extensions.Logging;

namespace Flamingo.Client.Tests;

/// <summary>Tests each option of the client against a server on a real port.</summary>
public sealed class ClientOptionsTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact(Timeout = 60_000)]
    public async Task Headers_go_with_every_call_through_the_callers_own_handler()
    {
        await using var gateway = await ScriptedGateway.StartAsync();
        using var handler = new RecordingHandler();
        var options = Options(gateway);
        (options.Headers, options.HttpHandler) = (new Dictionary<string, string> { ["authorization"] = "Bearer abc" }, handler);
        using (var client = new FlamingoClient(options))
        {
            await client.CompleteAsync(new Prompt().Text("x"), cancellation: Cancellation);
            await client.SupportSets.ListAsync(Cancellation);
        }

        Assert.Equal(["Bearer abc", "Bearer abc"], handler.Authorizations);
        Assert.False(handler.IsDisposed);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_key_goes_with_every_call_and_into_no_message()
    {
        await using var gateway = await ScriptedGateway.StartAsync();
        using var handler = new RecordingHandler();
        var (log, options) = (new RecordingLoggers(), Options(gateway));
        (options.Key, options.HttpHandler, options.LoggerFactory) = ("flm_abc_secret", handler, log);
        using (var client = new FlamingoClient(options))
        {
            await client.CompleteAsync(new Prompt().Text("x"), cancellation: Cancellation);
            await client.SupportSets.ListAsync(Cancellation);
        }

        Assert.Equal(["Bearer flm_abc_secret", "Bearer flm_abc_secret"], handler.Authorizations);
        Assert.Empty(log.Own); // it does not leave this machine

        options.Headers = new Dictionary<string, string> { ["Authorization"] = "Bearer other" };
        Refused();
        options.Headers = new Dictionary<string, string>();
        foreach (var wrong in new[] { "", "flm_abc secret", "flm_abc_secret\n", "flm_abc_secrét" })
        {
            options.Key = wrong;
            Refused();
        }

        void Refused()
        {
            var refused = Assert.Throws<ArgumentException>(() => new FlamingoClient(options));
            Assert.StartsWith("Key ", refused.Message, StringComparison.Ordinal);
            Assert.DoesNotContain("secr", refused.Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("http://192.0.2.1:8080", false, true)]
    [InlineData("dns:///gateway:8080", false, true)]
    [InlineData("dns:///gateway:8080", true, false)]
    [InlineData("https://192.0.2.1:8080", false, false)]
    [InlineData("http://127.0.0.1:8080", false, false)]
    [InlineData("http://localhost:8080", false, false)]
    public void A_key_that_others_can_read_on_the_way_is_warned_about(string address, bool tls, bool warns)
    {
        var log = new RecordingLoggers();
        using var client = new FlamingoClient(new FlamingoClientOptions
        {
            Addresses = [address], Key = "flm_abc_secret", UseTls = tls, LoggerFactory = log,
        });
        Assert.Equal(warns ? 1 : 0, log.Own.Count(line => line.StartsWith("1202 ", StringComparison.Ordinal)));
        Assert.DoesNotContain(log.Own, line => line.Contains("secret", StringComparison.Ordinal));
    }

    [Fact(Timeout = 60_000)]
    public async Task A_call_that_takes_longer_than_its_timeout_has_exceeded_its_deadline()
    {
        await using var gateway = await ScriptedGateway.StartAsync();
        using var hold = new SemaphoreSlim(0);
        gateway.Looking = () => hold.Wait(Cancellation);
        var options = Options(gateway);
        options.Timeout = TimeSpan.FromMilliseconds(200);
        using var client = new FlamingoClient(options);
        var late = await Assert.ThrowsAsync<FlamingoException>(
            () => client.CompleteAsync(new Prompt().Text("x"), cancellation: Cancellation));
        Assert.Equal(FlamingoErrorKind.DeadlineExceeded, late.Kind);
        hold.Release();
    }

    [Fact(Timeout = 60_000)]
    public async Task Pictures_go_as_bytes_each_time_where_that_is_wanted()
    {
        await using var gateway = await ScriptedGateway.StartAsync();
        var options = Options(gateway);
        options.SendsPicturesOnce = false;
        using var client = new FlamingoClient(options);
        for (var call = 0; call < 2; call++) await client.EncodeAsync([new byte[] { 1 }], cancellation: Cancellation);
        Assert.All(gateway.Asked, asked => Assert.IsType<FlamingoPicture>(((FlamingoEncodeRequest)asked).Pictures.Single()));
    }

    [Fact(Timeout = 60_000)]
    public async Task A_lone_gateway_is_asked_as_often_as_the_options_say_and_every_repetition_is_logged()
    {
        await using var gateway = await ScriptedGateway.StartAsync();
        gateway.Refusal = new FlamingoException(FlamingoErrorKind.Unavailable, "A stage is down.");
        var (log, options) = (new RecordingLoggers(), Options(gateway));
        (options.Attempts, options.LoggerFactory) = (3, log);
        using var client = new FlamingoClient(options);
        var refusal = await Assert.ThrowsAsync<FlamingoException>(
            () => client.CompleteAsync(new Prompt().Text("x"), cancellation: Cancellation));
        Assert.Equal("A stage is down.", refusal.Message);
        Assert.Equal(3, gateway.Asked.Count);
        Assert.Equal(
            [
                "1200 The client retries a call in 00:00:00.0500000 (retry 1): A stage is down.",
                "1200 The client retries a call in 00:00:00.1000000 (retry 2): A stage is down.",
            ],
            log.Own);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_client_that_does_not_wait_for_a_server_fails_at_once_and_names_its_address()
    {
        var address = $"http://localhost:{FreePort.Next()}";
        using var client = new FlamingoClient(new FlamingoClientOptions { Addresses = [address], WaitForServer = TimeSpan.Zero });
        var gone = await Assert.ThrowsAsync<FlamingoException>(() => client.GetModelAsync(Cancellation));
        Assert.Equal(FlamingoErrorKind.Unavailable, gone.Kind);
        Assert.StartsWith($"The server at {address} cannot be reached: ", gone.Message, StringComparison.Ordinal);
        Assert.EndsWith("Check the address, and that the server runs ('flamingo serve' starts one).", gone.Message,
            StringComparison.Ordinal);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_server_with_a_certificate_is_asked_where_its_authority_is_trusted_and_credentials_reach_it()
    {
        using var certificate = Certificate();
        await using var gateway = await ScriptedGateway.StartAsync(certificate);
        var trusting = Options(gateway);
        trusting.TrustedCertificates = [X509CertificateLoader.LoadCertificate(certificate.RawData)];
        trusting.CallCredentials = CallCredentials.FromInterceptor((_, headers) =>
        {
            headers.Add("authorization", "Bearer drawn");
            return Task.CompletedTask;
        });
        using (var client = new FlamingoClient(trusting))
            Assert.Equal("a dog", (await client.CompleteAsync(new Prompt().Text("x"), cancellation: Cancellation)).Text);
        Assert.Equal(["Bearer drawn"], gateway.Authorizations);

        using var wary = new FlamingoClient(Options(gateway));
        var refused = await Assert.ThrowsAsync<FlamingoException>(() => wary.GetModelAsync(Cancellation));
        Assert.Equal(FlamingoErrorKind.Unavailable, refused.Kind);
        Assert.Contains("TLS", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Credentials_without_TLS_are_refused()
    {
        var credentials = CallCredentials.FromInterceptor((_, _) => Task.CompletedTask);
        foreach (var address in new[] { "http://localhost:8080", "dns:///gateway:8080" })
            Assert.Throws<ArgumentException>(
                () => new FlamingoClient(new FlamingoClientOptions { Addresses = [address], CallCredentials = credentials }));
        using var secure = new FlamingoClient(new FlamingoClientOptions
        {
            Addresses = ["https://localhost:8080", "dns:///gateway:8080"], UseTls = true, CallCredentials = credentials,
        });
    }

    private static FlamingoClientOptions Options(ScriptedGateway gateway) => new() { Addresses = [gateway.Address] };

    private static X509Certificate2 Certificate()
    {
        using var key = RSA.Create(2048);
        var request = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, false, 0, critical: true));
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        var now = TimeProvider.System.GetUtcNow();
        return request.CreateSelfSigned(now.AddDays(-1), now.AddDays(1));
    }

    private sealed class RecordingHandler() : DelegatingHandler(new SocketsHttpHandler())
    {
        public ConcurrentQueue<string> Authorizations { get; } = [];

        public bool IsDisposed { get; private set; }

        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            Authorizations.Enqueue(string.Join(',', request.Headers.GetValues("authorization")));
            return base.SendAsync(request, cancellationToken);
        }

        protected override void Dispose(bool disposing)
        {
            IsDisposed = true;
            base.Dispose(disposing);
        }
    }

    private sealed class RecordingLoggers : ILoggerFactory, ILogger
    {
        /// <summary>Log messages of the client itself, without those of gRPC.</summary>
        public ConcurrentQueue<string> Own { get; } = [];

        public ILogger CreateLogger(string categoryName) =>
            categoryName == typeof(FlamingoClient).FullName ? this : Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance;

        public void AddProvider(ILoggerProvider provider)
        {
        }

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            Own.Enqueue($"{eventId.Id} {formatter(state, exception)}");

        public void Dispose()
        {
        }
    }
}
