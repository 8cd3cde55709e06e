using System.ComponentModel.DataAnnotations;

namespace Flamingo.Transport.Remote;

/// <summary>
/// Where the stages are; section <c>Stages</c>. <c>dns:///name:port</c> finds all replicas behind a name, <c>http://host:port</c>
/// is one server.
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
    /// Language-model calls go to one replica by the prompt's beginning, for its prefix cache; with this many calls more
    /// than the least loaded one it is busy, and the next by hash serves.
    /// </summary>
    [Range(1, 100_000)]
    public int LanguageModelSpill { get; set; } = 8;

    /// <summary>
    /// How often DNS is asked again for replicas that came or went; as long, a replica at which a call failed is left out while
    /// there is another.
    /// </summary>
    [Range(typeof(TimeSpan), "00:00:01", "01:00:00")]
    public TimeSpan DnsRefresh { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>Longest wait for a connection; a call to a stage that is down is UNAVAILABLE after it.</summary>
    [Range(typeof(TimeSpan), "00:00:00.100", "00:05:00")]
    public TimeSpan ConnectTimeout { get; set; } = TimeSpan.FromSeconds(2);
}
