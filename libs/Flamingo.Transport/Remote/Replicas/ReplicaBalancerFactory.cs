using Grpc.Net.Client.Balancer;
using Microsoft.Extensions.Logging;

namespace Flamingo.Transport.Remote.Replicas;

/// <summary>A gRPC load balancer that sends each call to the connected replica that <see cref="ReplicaChoice"/> selects.</summary>
public sealed class ReplicaBalancerFactory(ReplicaChoice choice) : LoadBalancerFactory
{
    public override string Name => "flamingo_replicas";

    public override LoadBalancer Create(LoadBalancerOptions options) => new Balancer(options.Controller, options.LoggerFactory, choice);

    private sealed class Balancer(
        IChannelControlHelper controller, ILoggerFactory loggers, ReplicaChoice choice) : SubchannelsLoadBalancer(controller, loggers)
    {
        protected override SubchannelPicker CreatePicker(IReadOnlyList<Subchannel> readySubchannels) =>
            new Picker(readySubchannels, choice);
    }

    private sealed class Picker(IReadOnlyList<Subchannel> subchannels, ReplicaChoice choice) : SubchannelPicker
    {
        private readonly string[] _replicas = [.. subchannels.Select(Name)];

        public override PickResult Pick(PickContext context) =>
            PickResult.ForSubchannel(subchannels[choice.Place(Call(context), _replicas)]);

        private static string Name(Subchannel subchannel)
        {
            var address = subchannel.GetAddresses()[0].EndPoint; // each subchannel has exactly one address from the resolver
            return $"{address.Host}:{address.Port}";
        }

        private static string? Call(PickContext context) =>
            context.Request is { } request && request.Headers.TryGetValues(ReplicaChoice.CallHeader, out var values)
                ? values.FirstOrDefault()
                : null;
    }
}
