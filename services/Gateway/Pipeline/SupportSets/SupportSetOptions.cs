using System.ComponentModel.DataAnnotations;

namespace Flamingo.Gateway.SupportSets;

/// <summary>Limits and storage of support sets; section <c>SupportSets</c>.</summary>
public sealed class SupportSetOptions
{
    public const string Section = "SupportSets";

    /// <summary>Largest number of examples in one set.</summary>
    [Range(1, 100_000)]
    public int MaxExamples { get; set; } = 1024;

    /// <summary>Largest number of sets of one tenant.</summary>
    [Range(1, 1_000_000)]
    public int MaxSets { get; set; } = 1000;

    /// <summary>
    /// Largest size of the sets of one tenant: texts, names, embeddings, pictures' files and what managing them takes.
    /// </summary>
    [Range(1, long.MaxValue)]
    public long MaxTenantBytes { get; set; } = 128L << 20;

    /// <summary>
    /// Largest size of the sets of all tenants, counted in the same way, that this process holds in memory: all sets if there is no
    /// Redis, and otherwise copies of sets that were read recently.
    /// </summary>
    [Range(1, long.MaxValue)]
    public long MaxMemoryBytes { get; set; } = 256L << 20;

    /// <summary>
    /// Largest size of the sets of all tenants in Redis, counted in the same way. What Redis may hold beyond it is left to latents.
    /// </summary>
    [Range(1, long.MaxValue)]
    public long MaxRedisBytes { get; set; } = 256L << 20;

    /// <summary>
    /// StackExchange.Redis connection string of a Redis instance that holds only support sets; an empty string means the instance of
    /// <c>Redis:ConnectionString</c>.
    /// </summary>
    public string ConnectionString { get; set; } = "";

    /// <summary>Prefix of every key in Redis.</summary>
    [Required]
    public string InstanceName { get; set; } = "flamingo:sets:";

    /// <summary>Longest wait for Redis to read or write a set.</summary>
    [Range(typeof(TimeSpan), "00:00:00.100", "00:05:00")]
    public TimeSpan RedisTimeout { get; set; } = TimeSpan.FromSeconds(10);
}
