using System.ComponentModel.DataAnnotations;

namespace Flamingo.Gateway;

/// <summary>Limits of requests and of the memory tier; section <c>Gateway</c>.</summary>
public sealed class GatewayOptions
{
    public const string Section = "Gateway";

    /// <summary>Number of requests that are worked on at once.</summary>
    [Range(1, 100_000)]
    public int MaxConcurrentRequests { get; set; } = 64;

    /// <summary>Requests that may wait; one more is answered RESOURCE_EXHAUSTED with a retry delay.</summary>
    [Range(0, 100_000)]
    public int MaxQueuedRequests { get; set; } = 256;

    /// <summary>Most pictures of one request.</summary>
    [Range(1, 4096)]
    public int MaxPicturesPerRequest { get; set; } = 64;

    /// <summary>Bound of the memory tier in bytes of latents.</summary>
    [Range(0, long.MaxValue)]
    public long MemoryCacheBytes { get; set; } = 256L << 20;

    /// <summary>Salt in every latent key: gateways with different salts share no latent.</summary>
    [Required(AllowEmptyStrings = true)]
    public string TenantSalt { get; set; } = "";
}

/// <summary>The shared tier of the latent cache; section <c>Redis</c>.</summary>
public sealed class RedisOptions
{
    public const string Section = "Redis";

    /// <summary>StackExchange.Redis connection string; empty is off.</summary>
    public string ConnectionString { get; set; } = "";

    /// <summary>Prefix of every key.</summary>
    public string InstanceName { get; set; } = "flamingo:latents:";

    /// <summary>Longest wait for an answer of Redis. After it, the pictures of a lookup count as misses.</summary>
    [Range(typeof(TimeSpan), "00:00:00.001", "00:01:00")]
    public TimeSpan LookupBudget { get; set; } = TimeSpan.FromMilliseconds(100);

    /// <summary>Life of an entry after its last use.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "365.00:00:00")]
    public TimeSpan TimeToLive { get; set; } = TimeSpan.FromDays(1);

    /// <summary>How long Redis is skipped after repeated failures.</summary>
    [Range(typeof(TimeSpan), "00:00:00.500", "00:10:00")]
    public TimeSpan BreakDuration { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>Life of a lease on a picture that is not prolonged: how long other gateways wait for an owner that died.</summary>
    [Range(typeof(TimeSpan), "00:00:00.100", "00:01:00")]
    public TimeSpan LeaseDuration { get; set; } = TimeSpan.FromSeconds(2);

    /// <summary>
    /// Longest wait for another gateway's encoding, and longest time for which an owner prolongs its lease: an owner that hangs delays
    /// nobody for longer.
    /// </summary>
    [Range(typeof(TimeSpan), "00:00:00.100", "00:10:00")]
    public TimeSpan LeaseWait { get; set; } = TimeSpan.FromSeconds(30);
}
