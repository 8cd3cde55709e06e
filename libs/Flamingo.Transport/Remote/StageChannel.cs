using Grpc.Core;
using Grpc.Net.Client;
using Grpc.Net.Client.Balancer;
using Grpc.Net.Client.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Flamingo.Transport.Remote;

/// <summary>A channel to all replicas of a stage: resolved by DNS, balanced per call, dead ones noticed by pings, unary calls and unbegun streams tried again elsewhere.</summary>
public static class StageChannel
{
    /// <summary>A replica that has just died is still picked for a second or two, every other time where there are two: eight picks in a row that all meet it are one in 256.</summary>
    private const int Attempts = 8;

    /// <param name="balancer">Which replica takes a call; null is one after the other.</param>
    /// <param name="resolver">Finds replicas besides DNS, by its own scheme.</param>
    public static GrpcChannel Open(string address, RemoteStageOptions options, LoadBalancerFactory? balancer = null, ResolverFactory? resolver = null)
    {
        var https = address.StartsWith("https://", StringComparison.Ordinal);
        var handler = new SocketsHttpHandler
        {
            EnableMultipleHttp2Connections = true,
            ConnectTimeout = options.ConnectTimeout,
            KeepAlivePingDelay = TimeSpan.FromSeconds(5),
            KeepAlivePingTimeout = TimeSpan.FromSeconds(3),
            KeepAlivePingPolicy = HttpKeepAlivePingPolicy.WithActiveRequests,
            PooledConnectionIdleTimeout = Timeout.InfiniteTimeSpan,
        };
        var services = new ServiceCollection().AddSingleton<ResolverFactory>(new DnsResolverFactory(options.DnsRefresh));
        if (balancer is not null) services.AddSingleton(balancer);
        if (resolver is not null) services.AddSingleton(resolver);
        return GrpcChannel.ForAddress(address, new GrpcChannelOptions
        {
            Credentials = https ? ChannelCredentials.SecureSsl : ChannelCredentials.Insecure,
            HttpHandler = handler,
            DisposeHttpClient = true,
            ServiceProvider = services.BuildServiceProvider(),
            MaxReceiveMessageSize = MessageLimits.MostBytes,
            MaxSendMessageSize = MessageLimits.MostBytes,
            MaxRetryBufferPerCallSize = MessageLimits.MostBytes,
            MaxRetryBufferSize = MessageLimits.MostBytes,
            MaxRetryAttempts = Attempts,
            InitialReconnectBackoff = TimeSpan.FromMilliseconds(200),
            MaxReconnectBackoff = TimeSpan.FromSeconds(1),
            ServiceConfig = new ServiceConfig { LoadBalancingConfigs = { balancer is null ? new RoundRobinConfig() : new LoadBalancingConfig(balancer.Name) }, MethodConfigs = { Retries() } },
        });
    }

    // every call here is a pure function of its request, so a second try is safe; a stream that has begun is never retried.
    // CANCELLED is what a connection reports that could not be made in time; a caller's own cancellation ends its retries anyway
    private static MethodConfig Retries() => new()
    {
        Names = { MethodName.Default },
        RetryPolicy = new RetryPolicy { MaxAttempts = Attempts, InitialBackoff = TimeSpan.FromMilliseconds(100), MaxBackoff = TimeSpan.FromMilliseconds(500), BackoffMultiplier = 2, RetryableStatusCodes = { StatusCode.Unavailable, StatusCode.Cancelled } },
    };
}
