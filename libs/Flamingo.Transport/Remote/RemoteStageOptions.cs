using System.ComponentModel.DataAnnotations;

namespace Flamingo.Transport.Remote;

/// <summary>
/// Addresses of the stages; section <c>Stages</c>. <c>dns:///name:port</c> names all replicas behind a DNS name,
/// <c>http://host:port</c> names one server.
/// </summary>
public sealed class RemoteStageOptions
{
    public const string Section = "Stages";

    private const string Form = "dns:///name:port, http://host:port or https://host:port";

    [Required, RegularExpression("(dns:///|http://|https://).+", ErrorMessage = Form)]
    public string VisionEncoder { get; set; } = "";

    [Required, RegularExpression("(dns:///|http://|https://).+", ErrorMessage = Form)]
    public string Resampler { get; set; } = "";

    [Required, RegularExpression("(dns:///|http://|https://).+", ErrorMessage = Form)]
    public string LanguageModel { get; set; } = "";

    /// <summary>
    /// Prompts with the same beginning go to the same replica of the language model, so that its prefix cache is hit. A replica
    /// that has this many calls in flight more than the least loaded replica is skipped, and the next replica in hash order takes
    /// the call.
    /// </summary>
    [Range(1, 100_000)]
    public int LanguageModelSpill { get; set; } = 8;

    /// <summary>
    /// How often DNS is queried for changed replicas. For the same time, a replica at which a call failed is skipped while
    /// another replica is available.
    /// </summary>
    [Range(typeof(TimeSpan), "00:00:01", "01:00:00")]
    public TimeSpan DnsRefresh { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>Longest wait for a connection. After it, a call to a stage that is down fails with UNAVAILABLE.</summary>
    [Range(typeof(TimeSpan), "00:00:00.100", "00:05:00")]
    public TimeSpan ConnectTimeout { get; set; } = TimeSpan.FromSeconds(2);
}
