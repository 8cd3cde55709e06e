using Flamingo.Protos.V1;
using Grpc.Core;
using Grpc.Core.Interceptors;
using Grpc.Net.Client;
using Grpc.Net.Client.Balancer;
using Grpc.Net.Client.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Flamingo.Client.Connecting;

/// <summary>One address: a gateway, or all behind a DNS name.</summary>
internal sealed class Gateway : IDisposable
{
    // as large as the service takes; requests with more pictures send them with EncodeAsync first and then by id
    private const int MostBytes = 1 << 30;

    private readonly GrpcChannel _channel;

    /// <param name="alone">Whether there is no other to turn to: then a connection may take as long as it likes.</param>
    /// <exception cref="ArgumentException">It is no address.</exception>
    public Gateway(string address, string tenant, bool alone)
    {
        if (!IsName(address) && !(Uri.TryCreate(address, UriKind.Absolute, out var server) && server.Scheme is "http" or "https"))
            throw new ArgumentException($"'{address}' is no address. Give http://host:8080 or dns:///name:8080.", nameof(address));
        var options = new GrpcChannelOptions { MaxReceiveMessageSize = MostBytes, MaxSendMessageSize = MostBytes };
        if (!alone || IsName(address)) FailFast(options);
        if (IsName(address)) Balance(options);
        Address = address;
        _channel = GrpcChannel.ForAddress(address, options);
        var calls = tenant.Length == 0 ? _channel.CreateCallInvoker() : _channel.Intercept(headers => [.. headers, new Metadata.Entry("flamingo-tenant", tenant)]);
        (Public, Tasks, Sets) = (new Protos.V1.Flamingo.FlamingoClient(calls), new Tasks.TasksClient(calls), new SupportSets.SupportSetsClient(calls));
    }

    public string Address { get; }

    public Protos.V1.Flamingo.FlamingoClient Public { get; }

    public Tasks.TasksClient Tasks { get; }

    public SupportSets.SupportSetsClient Sets { get; }

    public static bool IsName(string address) => address.StartsWith("dns:", StringComparison.Ordinal);

    public void Dispose() => _channel.Dispose();

    private static void FailFast(GrpcChannelOptions options)
    {
        options.HttpHandler = new SocketsHttpHandler
        {
            EnableMultipleHttp2Connections = true, ConnectTimeout = TimeSpan.FromSeconds(2), PooledConnectionIdleTimeout = Timeout.InfiniteTimeSpan,
            KeepAlivePingDelay = TimeSpan.FromSeconds(5), KeepAlivePingTimeout = TimeSpan.FromSeconds(3), KeepAlivePingPolicy = HttpKeepAlivePingPolicy.WithActiveRequests,
        };
        options.DisposeHttpClient = true;
    }

    private static void Balance(GrpcChannelOptions options)
    {
        options.Credentials = ChannelCredentials.Insecure;
        options.ServiceProvider = new ServiceCollection().AddSingleton<ResolverFactory>(new DnsResolverFactory(TimeSpan.FromSeconds(5))).BuildServiceProvider();
        options.InitialReconnectBackoff = TimeSpan.FromMilliseconds(200);
        options.MaxReconnectBackoff = TimeSpan.FromSeconds(1);
        options.ServiceConfig = new ServiceConfig { LoadBalancingConfigs = { new RoundRobinConfig() } };
    }
}
