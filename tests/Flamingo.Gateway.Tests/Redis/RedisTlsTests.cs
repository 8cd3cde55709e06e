using System.Collections.Concurrent;
using DotNet.Testcontainers.Builders;
using DotNet.Testcontainers.Containers;
using Flamingo.Configuration.Certificates;
using Flamingo.Gateway.Redis;
using Flamingo.Gateway.Tests.Latents;
using Flamingo.Testing;
using Flamingo.Testing.Certificates;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using StackExchange.Redis;

namespace Flamingo.Gateway.Tests.Redis;

/// <summary>Redis that speaks only TLS, asks for a certificate, and knows one user besides its disabled default one.</summary>
public sealed class TlsRedisFixture : IAsyncLifetime
{
    public const string User = "gateway", Password = "a-password-of-the-test";

    private const string Configuration = $"""
        bind 0.0.0.0
        protected-mode no
        port 0
        tls-port 6379
        tls-cert-file /tls/tls.crt
        tls-key-file /tls/tls.key
        tls-ca-cert-file /tls/ca.crt
        tls-auth-clients yes
        user {User} on >{Password} ~* &* +@all
        user default off

        """;

    private IContainer? _container;

    public TestAuthority Authority { get; } = new("Redis root");

    public TestAuthority OfClients { get; } = new("Root of clients");

    public string Address
    {
        get
        {
            ContainerEngine.Require();
            return $"localhost:{_container!.GetMappedPublicPort(6379)}";
        }
    }

    public async ValueTask InitializeAsync()
    {
        Environment.SetEnvironmentVariable("TESTCONTAINERS_RYUK_DISABLED", "true");
        if (!ContainerEngine.IsThere) return; // the property Address reports the reason
        await RedisContainerFixture.SpeakTheEnginesVersionAsync();
        var own = Authority.Issue("localhost");
        var container = new ContainerBuilder("redis:8-alpine").WithPortBinding(6379, assignRandomHostPort: true)
            .WithResourceMapping(Bytes(own.Chain), "/tls/tls.crt").WithResourceMapping(Bytes(own.Key), "/tls/tls.key")
            .WithResourceMapping(Bytes(OfClients.Pem), "/tls/ca.crt")
            .WithResourceMapping(Bytes(Configuration), "/tls/redis.conf").WithCommand("sh", "-c", "exec redis-server /tls/redis.conf")
            .WithWaitStrategy(Wait.ForUnixContainer().UntilMessageIsLogged("Ready to accept connections"))
            .Build();
        await container.StartAsync();
        _container = container;

        static byte[] Bytes(string text) => System.Text.Encoding.ASCII.GetBytes(text);
    }

    public async ValueTask DisposeAsync()
    {
        Authority.Dispose();
        OfClients.Dispose();
        if (_container is not null) await _container.DisposeAsync();
    }
}

/// <summary>The gateway's connection to a real Redis over mutual TLS with user and password.</summary>
public sealed class RedisTlsTests : IClassFixture<TlsRedisFixture>, IDisposable
{
    private const int Limit = 120_000;

    private readonly MountedSecret _secret = new();
    private readonly ConcurrentQueue<LoggedEvent> _logs = [];
    private readonly LoggerFactory _loggers = new();
    private readonly TlsRedisFixture _redis;

    public RedisTlsTests(TlsRedisFixture redis)
    {
        _redis = redis;
        _loggers.AddProvider(new CollectedLogs(_logs));
    }

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        _loggers.Dispose();
        _secret.Dispose();
    }

    [Fact(Timeout = Limit)]
    public async Task Values_go_over_mutual_tls_with_user_and_password()
    {
        await using var connection = Connect(Right());
        Assert.True(await connection.SendAsync(RedisCall.Write, "test", batch => [batch.StringSetAsync("a", "b")],
            cancellation: Cancellation));
        Assert.Equal("b", (string?)await (await connection.ConnectAsync()).GetDatabase().StringGetAsync("a"));
        Assert.True(await connection.IsReachableAsync(Cancellation));
        Assert.DoesNotContain(_logs, line => line.Text.Contains(TlsRedisFixture.Password, StringComparison.Ordinal));
    }

    [Fact(Timeout = Limit)]
    public async Task What_does_not_hold_leaves_redis_unused_and_the_reason_in_the_log()
    {
        using var stranger = new TestAuthority("Stranger");
        await UnusedAsync(Right(authorities: stranger.Pem), "is refused: it was issued by CN=Redis root");
        var port = _redis.Address.Split(':')[1];
        var named = Right();
        named.ConnectionString = $"127.0.0.1:{port},sslHost=redis.example.org";
        await UnusedAsync(named, "does not have the name 'redis.example.org'");
        await UnusedAsync(Right(own: stranger.Issue("gateway")), "does not answer (");
        var anonymous = Right();
        (anonymous.CertificateFile, anonymous.KeyFile) = ("", "");
        await UnusedAsync(anonymous, "does not answer");
        var wrong = Right();
        wrong.Password = "another";
        await UnusedAsync(wrong, "password");
        var plain = Right();
        (plain.CaFile, plain.CertificateFile, plain.KeyFile) = ("", "", "");
        await UnusedAsync(plain, "does not answer");
    }

    [Fact(Timeout = Limit)]
    public async Task A_certificate_that_was_refused_is_accepted_once_its_authority_is_in_the_file()
    {
        using var stranger = new TestAuthority("Stranger");
        await using var connection = Connect(Right(authorities: stranger.Pem));
        Assert.False(await connection.IsReachableAsync(Cancellation));
        _secret.Put(_redis.OfClients.Issue("gateway"), _redis.Authority.Pem);
        while (!await connection.IsReachableAsync(Cancellation)) Cancellation.ThrowIfCancellationRequested(); // it tries every second
        Assert.Single(_logs, line => line.Text.Contains("is refused", StringComparison.Ordinal));
    }

    [Fact]
    public void Wrong_options_are_named_at_once_without_a_secret()
    {
        _secret.Put(("ca.crt", "nothing"));
        var faults = Faults(
            ("Redis:ConnectionString", "redis:6379,ssl=false,password=first,user=x"), ("Redis:User", "gateway"), ("Redis:Password", "second"),
            ("Redis:CaFile", _secret.CaFile), ("Redis:KeyFile", _secret.KeyFile), ("SupportSets:ConnectionString", "sets:6379,ssl=no"));
        string[] beginnings =
        [
            "Redis:CaFile is", "Redis:ConnectionString says ssl=false", "Redis:KeyFile has no effect", "Redis:Password and",
            "Redis:User and", "SupportSets:ConnectionString says ssl=no",
        ];
        Assert.Equal(beginnings.Length, faults.Count);
        Assert.All(beginnings, begin => Assert.Contains(faults, fault => fault.StartsWith(begin, StringComparison.Ordinal)));
        Assert.DoesNotContain(faults, fault => fault.Contains("first") || fault.Contains("second"));

        _secret.Put(("ca.crt", _redis.Authority.Pem));
        Assert.Equal(3, Faults(("Redis:User", "gateway"), ("Redis:CaFile", _secret.CaFile)).Count);
        Assert.Empty(Faults(("Redis:ConnectionString", "redis:6379,ssl=true"), ("Redis:CaFile", _secret.CaFile), ("Redis:Password", "p")));
    }

    private static IReadOnlyList<string> Faults(params (string Key, string Value)[] options)
    {
        var services = new ServiceCollection().AddLogging().AddGatewayPipeline();
        services.AddSingleton<IConfiguration>(new ConfigurationBuilder()
            .AddInMemoryCollection(options.Select(option => KeyValuePair.Create(option.Key, (string?)option.Value))).Build());
        using var provider = services.BuildServiceProvider();
        try
        {
            _ = provider.GetRequiredService<IOptions<RedisOptions>>().Value;
            return [];
        }
        catch (OptionsValidationException exception)
        {
            return [.. exception.Failures];
        }
    }

    private RedisOptions Right(string? authorities = null, TestCertificate? own = null)
    {
        _secret.Put(own ?? _redis.OfClients.Issue("gateway"), authorities ?? _redis.Authority.Pem);
        return new RedisOptions
        {
            ConnectionString = _redis.Address, User = TlsRedisFixture.User, Password = TlsRedisFixture.Password, CaFile = _secret.CaFile,
            CertificateFile = _secret.CertificateFile, KeyFile = _secret.KeyFile, LookupBudget = TimeSpan.FromSeconds(5),
            WriteBudget = TimeSpan.FromSeconds(5),
        };
    }

    private RedisConnection Connect(RedisOptions options) =>
        new(options, TimeProvider.System, _loggers.CreateLogger<RedisConnection>());

    private async Task UnusedAsync(RedisOptions options, string reason)
    {
        await using var connection = Connect(options);
        Assert.False(await connection.IsReachableAsync(Cancellation));
        Assert.Contains(_logs, line => line.Text.Contains(reason, StringComparison.Ordinal));
        Assert.DoesNotContain(_logs, line => line.Text.Contains(TlsRedisFixture.Password, StringComparison.Ordinal));
        _logs.Clear();
    }
}
