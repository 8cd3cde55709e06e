namespace Flamingo.Stages;

/// <summary>The public face: what the Gateway promises its callers, the same in one process and over gRPC.</summary>
public interface IFlamingo
{
    /// <summary>First one <see cref="PicturesResolved"/>, then any number of <see cref="AnswerTokens"/>, then one <see cref="AnswerFinished"/>.</summary>
    /// <exception cref="StageException">Any kind but LatentsMissing.</exception>
    IAsyncEnumerable<AnswerEvent> GenerateAsync(FlamingoRequest request, CancellationToken cancellation);

    Task<FlamingoRanking> RankAsync(FlamingoRankRequest request, CancellationToken cancellation);

    /// <summary>Warms the cache and returns ids that later requests may send instead of bytes.</summary>
    Task<FlamingoEncoding> EncodeAsync(FlamingoEncodeRequest request, CancellationToken cancellation);

    Task<FlamingoModel> GetModelAsync(CancellationToken cancellation);
}

public abstract record FlamingoSegment;

public sealed record FlamingoText(string Text) : FlamingoSegment;

/// <summary>A picture as an encoded file.</summary>
public sealed record FlamingoPicture(ReadOnlyMemory<byte> Bytes) : FlamingoSegment;

/// <summary>A picture that was sent before: the lowercase hexadecimal SHA-256 of its file, as an earlier answer returned it.</summary>
public sealed record FlamingoPictureId(string Id) : FlamingoSegment;

public sealed record FlamingoRequest(IReadOnlyList<FlamingoSegment> Segments, SamplingParameters Sampling)
{
    /// <inheritdoc cref="LanguageModelRequest.PinPrefix"/>
    public TimeSpan? PinPrefix { get; init; }

    /// <summary>Attention maps per generated token; null is off and costs nothing.</summary>
    public AttentionChoice? Attention { get; init; }
}

public sealed record FlamingoRankRequest(IReadOnlyList<FlamingoSegment> Segments, IReadOnlyList<string> Candidates)
{
    /// <inheritdoc cref="LanguageModelRequest.PinPrefix"/>
    public TimeSpan? PinPrefix { get; init; }
}

public sealed record FlamingoEncodeRequest(IReadOnlyList<ReadOnlyMemory<byte>> Pictures, bool IncludePooled = false);

/// <summary>Where a picture's latents came from.</summary>
public enum PictureSource
{
    Encoded = 1,
    Memory = 2,
    Redis = 3,
}

public sealed record PictureReport(string Id, PictureSource Source);

/// <summary>Wall-clock time spent in each stage for one request, queueing included.</summary>
/// <param name="Lookup">Latent cache, both tiers.</param>
public sealed record StageTimings(TimeSpan Lookup, TimeSpan Vision, TimeSpan Resample, TimeSpan Prefill, TimeSpan FirstToken, TimeSpan Total);

/// <summary>Digests of the weights that made an answer.</summary>
public sealed record ModelDigests(string Vision, string Resampler, string Language);

public abstract record AnswerEvent;

/// <param name="Pictures">One per picture segment, in order.</param>
public sealed record PicturesResolved(IReadOnlyList<PictureReport> Pictures, TimeSpan Lookup, TimeSpan Vision, TimeSpan Resample) : AnswerEvent;

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
    /// <inheritdoc cref="GenerationFinished.CachedTokens"/>
    public int CachedTokens { get; init; }

    /// <summary>One per answer.</summary>
    public IReadOnlyList<FinishedSample> Samples { get; init; } = [];
}

public sealed record FlamingoRanking(IReadOnlyList<RankedCandidate> Candidates, IReadOnlyList<PictureReport> Pictures, int PromptTokens, StageTimings Timings, ModelDigests Digests)
{
    /// <inheritdoc cref="GenerationFinished.CachedTokens"/>
    public int CachedTokens { get; init; }
}

/// <param name="Pooled">One per picture, [pooled width], where asked for; then every picture is encoded anew.</param>
public sealed record FlamingoEncoding(IReadOnlyList<PictureReport> Pictures, IReadOnlyList<TensorData> Pooled, StageTimings Timings, ModelDigests Digests);

public sealed record FlamingoModel(VisionEncoderDescription Vision, ResamplerDescription Resampler, LanguageModelDescription Language);
