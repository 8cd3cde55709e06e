namespace Flamingo.Abstractions;

/// <summary>Where a picture's latents came from.</summary>
public enum PictureSource
{
    Encoded = 1,
    Memory = 2,
    Redis = 3,
}

/// <param name="Id">See <see cref="PictureId"/>: what later requests may send instead of the bytes.</param>
public sealed record PictureReport(string Id, PictureSource Source);

/// <summary>What the latent cache did for one request.</summary>
/// <param name="Encoded">Pictures that were encoded, by this request or by another one that it waited for.</param>
/// <param name="Waits">How many of the encoded ones another request, here or at another gateway, was encoding already.</param>
/// <param name="Saved">What encoding the found ones had cost.</param>
public sealed record CacheUse(int MemoryHits, int RedisHits, int Encoded, int Waits, TimeSpan Saved)
{
    public static CacheUse None { get; } = new(0, 0, 0, 0, TimeSpan.Zero);
}

/// <summary>Wall-clock time spent in each stage for one request, queueing included.</summary>
/// <param name="Lookup">Latent cache, both tiers.</param>
/// <param name="FirstToken">From the request's arrival to its first token.</param>
/// <param name="Total">From the request's arrival to its end.</param>
public sealed record StageTimings(
    TimeSpan Lookup, TimeSpan Vision, TimeSpan Resample, TimeSpan Prefill, TimeSpan FirstToken, TimeSpan Total);

/// <summary>Digests of the weights that made an answer: SHA-256, lowercase hexadecimal.</summary>
public sealed record ModelDigests(string Vision, string Resampler, string Language);
