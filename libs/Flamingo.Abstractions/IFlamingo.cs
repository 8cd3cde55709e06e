namespace Flamingo.Abstractions;

/// <summary>The public face: what the Gateway promises its callers, the same in one process and over gRPC.</summary>
public interface IFlamingo
{
    /// <summary>First one <see cref="PicturesResolved"/>, then any number of <see cref="AnswerTokens"/>, then one <see cref="AnswerFinished"/>.</summary>
    /// <exception cref="FlamingoException">Any kind but LatentsMissing.</exception>
    IAsyncEnumerable<AnswerEvent> GenerateAsync(FlamingoRequest request, CancellationToken cancellation);

    Task<FlamingoRanking> RankAsync(FlamingoRankRequest request, CancellationToken cancellation);

    /// <summary>Warms the cache and returns ids that later requests may send instead of bytes.</summary>
    Task<FlamingoEncoding> EncodeAsync(FlamingoEncodeRequest request, CancellationToken cancellation);

    Task<FlamingoModel> GetModelAsync(CancellationToken cancellation);
}

public abstract record FlamingoSegment;

public sealed record FlamingoText(string Text) : FlamingoSegment;

/// <summary>What the model sees at one place of a prompt.</summary>
public abstract record FlamingoVisual : FlamingoSegment;

/// <summary>A picture as an encoded file.</summary>
public sealed record FlamingoPicture(ReadOnlyMemory<byte> Bytes) : FlamingoVisual;

/// <summary>A picture or clip that was sent before, by the id that an earlier answer returned.</summary>
public sealed record FlamingoPictureId(string Id) : FlamingoVisual;

/// <summary>A short clip; MaxFrames 0 is as many as the model takes.</summary>
public sealed record FlamingoVideo(VisualInput Input) : FlamingoVisual;

public sealed record FlamingoRequest(IReadOnlyList<FlamingoSegment> Segments, SamplingParameters Sampling)
{
    /// <inheritdoc cref="TenantName"/>
    public string Tenant { get; init; } = TenantName.Default;

    /// <summary>Examples that go before the segments, which are then the query.</summary>
    public SupportSetChoice? SupportSet { get; init; }

    /// <summary>How long the prompt's keys and values are kept from eviction after the answer; null leaves them to chance.</summary>
    public TimeSpan? PinPrefix { get; init; }

    /// <summary>Attention maps per generated token; null is off and costs nothing.</summary>
    public AttentionChoice? Attention { get; init; }
}

public sealed record FlamingoRankRequest(IReadOnlyList<FlamingoSegment> Segments, IReadOnlyList<string> Candidates)
{
    /// <inheritdoc cref="TenantName"/>
    public string Tenant { get; init; } = TenantName.Default;

    /// <inheritdoc cref="FlamingoRequest.SupportSet"/>
    public SupportSetChoice? SupportSet { get; init; }

    /// <summary>Log-likelihoods as the mean over permutations of the support set's shots.</summary>
    public Ensemble? Ensemble { get; init; }

    /// <inheritdoc cref="FlamingoRequest.PinPrefix"/>
    public TimeSpan? PinPrefix { get; init; }
}

/// <param name="Pictures">At least one; an id asks whether its picture is still held.</param>
/// <param name="IncludePooled">Whether to return CLIP's pooled and projected embedding.</param>
public sealed record FlamingoEncodeRequest(IReadOnlyList<FlamingoVisual> Pictures, bool IncludePooled = false)
{
    /// <inheritdoc cref="TenantName"/>
    public string Tenant { get; init; } = TenantName.Default;
}

/// <summary>Who asks: no latent, id, prefix or support set crosses it. 1 to 128 of A-Z a-z 0-9 . _ -, or empty: the default tenant.</summary>
public static class TenantName
{
    public const string Default = "";
    public const int MostCharacters = 128;

    public static bool IsWellFormed(string name) => name.Length <= MostCharacters && name.All(character => char.IsAsciiLetterOrDigit(character) || character is '.' or '_' or '-');
}

/// <summary>Where a picture's latents came from.</summary>
public enum PictureSource
{
    Encoded = 1,
    Memory = 2,
    Redis = 3,
}

public sealed record PictureReport(string Id, PictureSource Source);

/// <summary>What the latent cache did for one request.</summary>
/// <param name="Encoded">Encoded for this request or waited for.</param>
/// <param name="Waits">Of the encoded ones: those that another request, here or at another gateway, was encoding already.</param>
/// <param name="Saved">What encoding the found ones had cost.</param>
public sealed record CacheUse(int MemoryHits, int RedisHits, int Encoded, int Waits, TimeSpan Saved)
{
    public static CacheUse None { get; } = new(0, 0, 0, 0, TimeSpan.Zero);
}

/// <summary>Wall-clock time spent in each stage for one request, queueing included.</summary>
/// <param name="Lookup">Latent cache, both tiers.</param>
public sealed record StageTimings(TimeSpan Lookup, TimeSpan Vision, TimeSpan Resample, TimeSpan Prefill, TimeSpan FirstToken, TimeSpan Total);

/// <summary>Digests of the weights that made an answer.</summary>
public sealed record ModelDigests(string Vision, string Resampler, string Language);

public abstract record AnswerEvent;

/// <param name="Pictures">One per picture of the prompt, in order: the shots of a support set first, then the picture segments.</param>
public sealed record PicturesResolved(IReadOnlyList<PictureReport> Pictures, TimeSpan Lookup, TimeSpan Vision, TimeSpan Resample) : AnswerEvent
{
    public CacheUse Cache { get; init; } = CacheUse.None;

    /// <summary>Where a support set was asked for.</summary>
    public SelectedShots? Shots { get; init; }
}

public sealed record AnswerTokens(string Text, IReadOnlyList<int> Ids) : AnswerEvent
{
    /// <summary>Which of several answers, 0-based.</summary>
    public int Sample { get; init; }

    /// <summary>One per id, where asked for.</summary>
    public IReadOnlyList<TokenLogProbability> LogProbabilities { get; init; } = [];

    /// <summary>One per id, where asked for; null for a token that sees no picture.</summary>
    public IReadOnlyList<AttentionMap?> Attention { get; init; } = [];
}

/// <summary>What a generated token looked at.</summary>
/// <param name="Picture">Index among the prompt's pictures.</param>
/// <param name="Weights">[latents], sums to one.</param>
/// <param name="Map">[rows, columns] of patches (of all frames on top of each other: [frames × rows, columns]), sums to one.</param>
public sealed record AttentionMap(int Picture, TensorData Weights, TensorData Map);

/// <param name="Reason">Of the first answer.</param>
/// <param name="GeneratedTokens">Of all answers together.</param>
/// <param name="Seed">The seed used, so that a sampled answer can be repeated.</param>
public sealed record AnswerFinished(FinishReason Reason, int PromptTokens, int GeneratedTokens, ulong Seed, StageTimings Timings, ModelDigests Digests) : AnswerEvent
{
    /// <summary>Prompt tokens whose keys and values another request had computed.</summary>
    public int CachedTokens { get; init; }

    /// <summary>One per answer.</summary>
    public IReadOnlyList<FinishedSample> Samples { get; init; } = [];
}

public sealed record FlamingoRanking(IReadOnlyList<RankedCandidate> Candidates, IReadOnlyList<PictureReport> Pictures, int PromptTokens, StageTimings Timings, ModelDigests Digests)
{
    /// <inheritdoc cref="AnswerFinished.CachedTokens"/>
    public int CachedTokens { get; init; }

    public CacheUse Cache { get; init; } = CacheUse.None;

    /// <summary>Where a support set was asked for: the order of the first prompt.</summary>
    public SelectedShots? Shots { get; init; }
}

/// <param name="Pooled">One per picture, f32 [pooled width], where asked for.</param>
public sealed record FlamingoEncoding(IReadOnlyList<PictureReport> Pictures, IReadOnlyList<TensorData> Pooled, StageTimings Timings, ModelDigests Digests)
{
    public CacheUse Cache { get; init; } = CacheUse.None;
}

/// <param name="LogProbability">Natural logarithm.</param>
/// <param name="Top">The most likely tokens, best first.</param>
public sealed record TokenLogProbability(int Id, float LogProbability, IReadOnlyList<(int Id, float LogProbability)> Top);

/// <param name="Score">Of a beam; null without beam search.</param>
public sealed record FinishedSample(FinishReason Reason, int GeneratedTokens, double? Score);

public enum FinishReason
{
    /// <summary>A stop token or stop string.</summary>
    Stop = 1,

    /// <summary>max_tokens or the context length.</summary>
    Length = 2,
}

/// <param name="TokenLogLikelihoods">Natural logarithm, one per token of the candidate.</param>
public sealed record RankedCandidate(string Text, IReadOnlyList<int> Ids, IReadOnlyList<float> TokenLogLikelihoods)
{
    public double Sum => TokenLogLikelihoods.Sum(value => (double)value);

    public double Mean => Sum / TokenLogLikelihoods.Count;
}
