using Flamingo.Transport.Remote.Replicas;
using Flamingo.Wire;
using Grpc.Core;
using Grpc.Net.Client;
using Grpc.Net.Client.Balancer;
using Grpc.Net.Client.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Flamingo.Transport.Remote;

/// <summary>
/// A channel to all replicas of a stage. It resolves them by DNS, balances each call, and detects dead replicas by HTTP/2 pings.
/// It does not retry calls, because gRPC's own retries stop at the response headers, which large answers and streams send long
/// before their content. <see cref="RemoteCalls"/> retries instead.
/// </summary>
public sealed class StageChannel : IDisposable
{
    private StageChannel(string address, GrpcChannel channel, ReplicaChoice replicas, TimeProvider time) =>
        (Address, Channel, Replicas, Time) = (address, channel, replicas, time);

    public string Address { get; }

    public GrpcChannel Channel { get; }

    public ReplicaChoice Replicas { get; }

    public TimeProvider Time { get; }

    /// <param name="resolver">An additional resolver for its own URI scheme; null uses only DNS.</param>
    /// <param name="tls">Certificates; null for the system's authorities, which only https:// uses.</param>
    /// <param name="name">The name that the stage's certificate must have; null or empty for the host of the address.</param>
    public static StageChannel Open(
        string address, RemoteStageOptions options, TimeProvider time, ResolverFactory? resolver = null, StageTls? tls = null,
        string? name = null)
    {
        var isTls = address.StartsWith("https://", StringComparison.Ordinal) || tls?.IsOn == true;
        var handler = new SocketsHttpHandler
        {
            EnableMultipleHttp2Connections = true,
            ConnectTimeout = options.ConnectTimeout,
            KeepAlivePingDelay = TimeSpan.FromSeconds(5),
            KeepAlivePingTimeout = TimeSpan.FromSeconds(3),
            KeepAlivePingPolicy = HttpKeepAlivePingPolicy.WithActiveRequests,
            PooledConnectionIdleTimeout = Timeout.InfiniteTimeSpan,
        };
        if (isTls && tls is not null) handler.SslOptions = tls.For(string.IsNullOrEmpty(name) ? StageTls.NameIn(address) : name);
        var replicas = new ReplicaChoice(options.LanguageModelSpill, options.DnsRefresh, time);
        var balancer = new ReplicaBalancerFactory(replicas);
        var services = new ServiceCollection().AddSingleton<ResolverFactory>(new DnsResolverFactory(options.DnsRefresh))
            .AddSingleton<LoadBalancerFactory>(balancer);
        if (resolver is not null) services.AddSingleton(resolver);
        return new StageChannel(address, GrpcChannel.ForAddress(address, new GrpcChannelOptions
        {
            Credentials = isTls ? ChannelCredentials.SecureSsl : ChannelCredentials.Insecure,
            HttpHandler = new SentHandler(handler, replicas),
            DisposeHttpClient = true,
            ServiceProvider = services.BuildServiceProvider(),
            MaxReceiveMessageSize = MessageLimits.MostBytes,
            MaxSendMessageSize = MessageLimits.MostBytes,
            InitialReconnectBackoff = TimeSpan.FromMilliseconds(200),
            MaxReconnectBackoff = TimeSpan.FromSeconds(1),
            ServiceConfig = new ServiceConfig { LoadBalancingConfigs = { new LoadBalancingConfig(balancer.Name) } },
        }), replicas, time);
    }

    public void Dispose() => Channel.Dispose();

    // This handler runs below the balancer, so every request that reaches it has been placed at a replica.
    private sealed class SentHandler(HttpMessageHandler inner, ReplicaChoice replicas) : DelegatingHandler(inner)
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            if (request.Headers.TryGetValues(ReplicaChoice.CallHeader, out var names)) replicas.Sent(names.First());
            return base.SendAsync(request, cancellationToken);
        }
    }
}
