using System.ComponentModel.DataAnnotations;

namespace Flamingo.ServiceDefaults;

/// <summary>Addresses on which a service listens, and the time that it may take to stop; section <c>Endpoints</c>.</summary>
public sealed class EndpointOptions
{
    public const string Section = "Endpoints";

    /// <summary>TCP port of the gRPC endpoint, which accepts only HTTP/2.</summary>
    [Range(1, 65535)]
    public int GrpcPort { get; set; } = 8080;

    /// <summary>TCP port of the HTTP endpoint, which accepts HTTP/1.1; 0 opens none. Only the gateway serves something on it.</summary>
    [Range(0, 65535)]
    public int HttpPort { get; set; }

    /// <summary>
    /// TCP port for operators: metrics at <c>/metrics</c>, health at <c>/healthz</c> and <c>/readyz</c>, over HTTP/1.1 and without keys; 0
    /// opens none. Do not publish it.
    /// </summary>
    [Range(0, 65535)]
    public int ManagementPort { get; set; }

    /// <summary>Addresses to listen on: any (all addresses) or loopback.</summary>
    [AllowedValues("any", "loopback")]
    public string Listen { get; set; } = "any";

    /// <summary>
    /// How long a call may wait for its caller to take more of the answer. Then its stream is reset. It should be longer than
    /// Gateway:WriteStallTimeout, so that a caller who reads on late gets the status ABORTED.
    /// </summary>
    [Range(typeof(TimeSpan), "00:00:00.100", "01:00:00")]
    public TimeSpan WriteTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>How long calls in flight may continue after the signal to stop.</summary>
    [Range(typeof(TimeSpan), "00:00:00", "00:10:00")]
    public TimeSpan DrainTimeout { get; set; } = TimeSpan.FromSeconds(20);

    /// <summary>The ports that are open, with the names of their options.</summary>
    internal IEnumerable<(string Option, int Port)> Ports =>
        new[]
        {
            ($"{Section}:{nameof(GrpcPort)}", GrpcPort), ($"{Section}:{nameof(HttpPort)}", HttpPort),
            ($"{Section}:{nameof(ManagementPort)}", ManagementPort),
        }.Where(named => named.Item2 > 0);
}
