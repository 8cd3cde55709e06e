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
    /// Bound on the total size of all pictures of all sets in bytes, if they are held in this process, that is without Redis.
    /// </summary>
    [Range(1, long.MaxValue)]
    public long MaxMemoryBytes { get; set; } = 1L << 30;

    /// <summary>Prefix of every key in Redis.</summary>
    [Required]
    public string InstanceName { get; set; } = "flamingo:sets:";

    /// <summary>Longest wait for Redis to read or write a set.</summary>
    [Range(typeof(TimeSpan), "00:00:00.100", "00:05:00")]
    public TimeSpan RedisTimeout { get; set; } = TimeSpan.FromSeconds(10);
}
