using System.ComponentModel.DataAnnotations;

namespace Flamingo.ServiceDefaults;

/// <summary>Where a service listens and how it stops; section <c>Endpoints</c>.</summary>
public sealed class EndpointOptions
{
    public const string Section = "Endpoints";

    /// <summary>Port of gRPC, HTTP/2 alone.</summary>
    [Range(1, 65535)]
    public int GrpcPort { get; set; } = 8080;

    /// <summary>any (all addresses) or loopback.</summary>
    [AllowedValues("any", "loopback")]
    public string Listen { get; set; } = "any";

    /// <summary>How long calls in flight may go on after the signal to stop.</summary>
    [Range(typeof(TimeSpan), "00:00:00", "00:10:00")]
    public TimeSpan DrainTimeout { get; set; } = TimeSpan.FromSeconds(20);
}
