using Grpc.Net.Client.Balancer;
using Microsoft.Extensions.Logging;

namespace Flamingo.Transport.Remote.Affinity;

/// <summary>Calls go by rendezvous hash of their key header to one of the replicas that are connected, past those that are busy.</summary>
/// <param name="spill">See <see cref="Rendezvous.Choose"/>.</param>
public sealed class AffinityBalancerFactory(ReplicaLoad load, int spill) : LoadBalancerFactory
{
    public override string Name => "flamingo_affinity";

    public override LoadBalancer Create(LoadBalancerOptions options) => new Balancer(options.Controller, options.LoggerFactory, load, spill);

    private sealed class Balancer(IChannelControlHelper controller, ILoggerFactory loggers, ReplicaLoad load, int spill) : SubchannelsLoadBalancer(controller, loggers)
    {
        protected override SubchannelPicker CreatePicker(IReadOnlyList<Subchannel> readySubchannels) => new Picker(readySubchannels, load, spill);
    }

    private sealed class Picker(IReadOnlyList<Subchannel> subchannels, ReplicaLoad load, int spill) : SubchannelPicker
    {
        private readonly string[] _replicas = [.. subchannels.Select(Name)];

        public override PickResult Pick(PickContext context) =>
            PickResult.ForSubchannel(subchannels[load.Place(Header(context, ReplicaLoad.CallHeader), Header(context, ReplicaLoad.KeyHeader) ?? "", _replicas, spill)]);

        private static string Name(Subchannel subchannel)
        {
            var address = subchannel.GetAddresses()[0].EndPoint; // one address each: the resolver's
            return $"{address.Host}:{address.Port}";
        }

        private static string? Header(PickContext context, string name) =>
            context.Request is { } request && request.Headers.TryGetValues(name, out var values) ? values.FirstOrDefault() : null;
    }
}
