namespace Flamingo.Abstractions;

/// <summary>Where a picture's latents came from.</summary>
public enum PictureSource
{
    Encoded = 1,
    Memory = 2,
    Redis = 3,
}

/// <param name="Id">The <see cref="PictureId"/>, which later requests may send instead of the bytes.</param>
public sealed record PictureReport(string Id, PictureSource Source)
{
    /// <summary>
    /// Time that the vision encoder and the resampler took for this picture, in this request or in the earlier one that encoded it; a
    /// picture that was found in the cache saved this time.
    /// </summary>
    public TimeSpan Cost { get; init; }
}

/// <summary>What the latent cache did for one request.</summary>
/// <param name="Encoded">Pictures that were encoded by this request, or by another request that this request waited for.</param>
/// <param name="Waits">How many of the encoded pictures were already being encoded by another request, at this or another gateway.</param>
/// <param name="Saved">Time that encoding the cached pictures had taken, which the cache hits saved.</param>
public sealed record CacheUse(int MemoryHits, int RedisHits, int Encoded, int Waits, TimeSpan Saved)
{
    public static CacheUse None { get; } = new(0, 0, 0, 0, TimeSpan.Zero);
}

/// <summary>Wall-clock time spent in each stage for one request, queueing included.</summary>
/// <param name="Lookup">Time of the lookups in both tiers of the latent cache.</param>
/// <param name="FirstToken">Time from the request's arrival to its first token.</param>
/// <param name="Total">Time from the request's arrival to its end.</param>
public sealed record StageTimings(
    TimeSpan Lookup, TimeSpan Vision, TimeSpan Resample, TimeSpan Prefill, TimeSpan FirstToken, TimeSpan Total);

/// <summary>Digests of the weights that computed an answer: SHA-256, lowercase hexadecimal.</summary>
public sealed record ModelDigests(string Vision, string Resampler, string Language);
