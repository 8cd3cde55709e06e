using Grpc.Core;
using Grpc.Net.Client;
using Grpc.Net.Client.Balancer;
using Grpc.Net.Client.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Flamingo.Client.Connecting;

/// <summary>A channel to one address, or to several gateways at once: calls go in turn to those that are connected.</summary>
internal static class ServiceChannel
{
    // as large as the service takes; requests with more pictures send them with EncodeAsync first and then by id
    private const int MostBytes = 1 << 30;

    // a gateway that has just died is still picked for a moment, and every other time where there are two
    private const int Attempts = 10;

    /// <summary>How often a call is made at most.</summary>
    public static int AttemptsFor(IReadOnlyList<string> addresses) => addresses is [var single] && !IsName(single) ? 1 : Attempts;

    /// <exception cref="ArgumentException">No address, one that is none, or http beside https.</exception>
    public static GrpcChannel Open(IReadOnlyList<string> addresses)
    {
        if (addresses is [var single]) return GrpcChannel.ForAddress(single, IsName(single) ? Balanced(ChannelCredentials.Insecure) : Limits());
        var servers = addresses.Select(address => Uri.TryCreate(address, UriKind.Absolute, out var server) && server.Scheme is "http" or "https" ? server : throw new ArgumentException($"'{address}' is no address. Give http://host:8080, or dns:///name:8080 alone.", nameof(addresses))).ToList();
        if (servers.DistinctBy(server => server.Scheme).Count() != 1) throw new ArgumentException("Give at least one address, and all with http or all with https.", nameof(addresses));
        return GrpcChannel.ForAddress("static:///flamingo", Balanced(servers[0].Scheme == "https" ? ChannelCredentials.SecureSsl : ChannelCredentials.Insecure, new StaticResolverFactory(_ => servers.Select(AddressOf))));
    }

    private static bool IsName(string address) => address.StartsWith("dns:", StringComparison.Ordinal);

    private static GrpcChannelOptions Limits() => new() { MaxReceiveMessageSize = MostBytes, MaxSendMessageSize = MostBytes };

    private static GrpcChannelOptions Balanced(ChannelCredentials credentials, ResolverFactory? resolver = null)
    {
        var options = Limits();
        var services = new ServiceCollection().AddSingleton<ResolverFactory>(new DnsResolverFactory(TimeSpan.FromSeconds(5)));
        if (resolver is not null) services.AddSingleton(resolver);
        options.ServiceProvider = services.BuildServiceProvider();
        options.Credentials = credentials;
        options.HttpHandler = new SocketsHttpHandler
        {
            EnableMultipleHttp2Connections = true, ConnectTimeout = TimeSpan.FromSeconds(2), PooledConnectionIdleTimeout = Timeout.InfiniteTimeSpan,
            KeepAlivePingDelay = TimeSpan.FromSeconds(5), KeepAlivePingTimeout = TimeSpan.FromSeconds(3), KeepAlivePingPolicy = HttpKeepAlivePingPolicy.WithActiveRequests,
        };
        options.DisposeHttpClient = true;
        options.InitialReconnectBackoff = TimeSpan.FromMilliseconds(200);
        options.MaxReconnectBackoff = TimeSpan.FromSeconds(1);
        options.ServiceConfig = new ServiceConfig { LoadBalancingConfigs = { new RoundRobinConfig() } };
        return options;
    }

    // a server is asked, and over TLS proves itself, by its own name, not by the channel's
    private static BalancerAddress AddressOf(Uri server)
    {
        var address = new BalancerAddress(server.Host, server.Port);
        address.Attributes.Set(new BalancerAttributesKey<string>("HostOverride"), server.Authority);
        return address;
    }
}
