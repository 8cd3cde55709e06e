using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Flamingo.Abstractions;
using Flamingo.Protos.V1;
using Flamingo.Wire;
using Grpc.Core;
using Grpc.Net.Client;
using Grpc.Net.Client.Balancer;
using Grpc.Net.Client.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Flamingo.Client.Connecting;

/// <summary>The connection to one address: a single gateway, or all gateways behind a DNS name.</summary>
internal sealed class Gateway : IDisposable
{
    private readonly GrpcChannel _channel;

    /// <exception cref="ArgumentException">The address is malformed, or call credentials would be sent without TLS.</exception>
    public Gateway(string address, FlamingoClientOptions options)
    {
        Address = address;
        _channel = GrpcChannel.ForAddress(address, ChannelOptions(address, options));
        IsReadableOnTheWay = IsName(address) ? !options.UseTls
            : new Uri(address) is { IsLoopback: false, Scheme: "http" };
        (Public, Tasks) = (new Protos.V1.Flamingo.FlamingoClient(_channel), new Tasks.TasksClient(_channel));
        (Sets, Cache) = (new SupportSets.SupportSetsClient(_channel), new LatentCache.LatentCacheClient(_channel));
    }

    public string Address { get; }

    /// <summary>Whether what is sent leaves this machine without TLS.</summary>
    public bool IsReadableOnTheWay { get; }

    public Protos.V1.Flamingo.FlamingoClient Public { get; }

    public Tasks.TasksClient Tasks { get; }

    public SupportSets.SupportSetsClient Sets { get; }

    public LatentCache.LatentCacheClient Cache { get; }

    public static bool IsName(string address) => address.StartsWith("dns:", StringComparison.Ordinal);

    public FlamingoException Failure(RpcException exception) => exception.ToFlamingoException(
        $"The server at {Address}", "Check the address, and that the server runs ('flamingo serve' starts one).");

    public void Dispose() => _channel.Dispose();

    private static GrpcChannelOptions ChannelOptions(string address, FlamingoClientOptions options)
    {
        var uri = Uri.TryCreate(address, UriKind.Absolute, out var given) ? given : null;
        if (uri is not { Scheme: "http" or "https" } && !IsName(address))
            throw new ArgumentException($"'{address}' is not an address. Give http://host:8080 or dns:///name:8080.", nameof(options));
        var secure = uri is { Scheme: "https" } || (IsName(address) && options.UseTls);
        if (options.CallCredentials is not null && !secure)
            throw new ArgumentException(
                $"Call credentials are sent only over TLS, and {address} does not use TLS. Use https://, or Headers.", nameof(options));
        var credentials = secure ? ChannelCredentials.SecureSsl : ChannelCredentials.Insecure;
        var channel = new GrpcChannelOptions
        {
            Credentials = options.CallCredentials is { } calls ? ChannelCredentials.Create(credentials, calls) : credentials,
            HttpHandler = new EitherProtocol(
                options.HttpHandler ?? NewHandler(options), IsName(address) ? "" : uri!.AbsolutePath.TrimEnd('/')),
            DisposeHttpClient = options.HttpHandler is null,
            LoggerFactory = options.LoggerFactory,
            MaxReceiveMessageSize = MessageLimits.MostBytes, MaxSendMessageSize = MessageLimits.MostBytes,
            // gRPC's own pauses, 1 s to 2 min, would outlast the wait for a server that is being started
            InitialReconnectBackoff = TimeSpan.FromMilliseconds(200), MaxReconnectBackoff = TimeSpan.FromSeconds(1),
        };
        if (!IsName(address)) return channel;
        var resolver = new DnsResolverFactory(refreshInterval: TimeSpan.FromSeconds(5));
        channel.ServiceProvider = new ServiceCollection().AddSingleton<ResolverFactory>(resolver).BuildServiceProvider();
        channel.ServiceConfig = new ServiceConfig { LoadBalancingConfigs = { new RoundRobinConfig() } };
        return channel;
    }

    // HTTP/2 pings detect within seconds that a server with calls in flight is gone.
    private static SocketsHttpHandler NewHandler(FlamingoClientOptions options)
    {
        var handler = new SocketsHttpHandler
        {
            EnableMultipleHttp2Connections = true, ConnectTimeout = options.ConnectTimeout,
            PooledConnectionIdleTimeout = Timeout.InfiniteTimeSpan,
            KeepAlivePingDelay = TimeSpan.FromSeconds(5), KeepAlivePingTimeout = TimeSpan.FromSeconds(3),
            KeepAlivePingPolicy = HttpKeepAlivePingPolicy.WithActiveRequests,
        };
        // The context sends the certificate whatever authorities the server says it knows.
        if (options.ClientCertificate is { } own)
            handler.SslOptions.ClientCertificateContext = SslStreamCertificateContext.Create(own, null, offline: true);
        if (options.TrustedCertificates is not { } authorities) return handler;
        handler.SslOptions.CertificateChainPolicy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck,
        };
        handler.SslOptions.CertificateChainPolicy.CustomTrustStore.AddRange(authorities);
        return handler;
    }
}
