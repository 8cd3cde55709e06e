namespace Flamingo.Abstractions;

/// <summary>
/// What callers ask of a model, the same in one process and over gRPC: the gateway answers it, and the client passes it on.
/// </summary>
public interface IFlamingo
{
    /// <summary>
    /// First one <see cref="PicturesResolved"/>, then any number of <see cref="AnswerTokens"/>, then one
    /// <see cref="AnswerFinished"/>.
    /// </summary>
    /// <exception cref="FlamingoException">Any kind but LatentsMissing; it is thrown while the answer is read.</exception>
    IAsyncEnumerable<AnswerEvent> GenerateAsync(FlamingoRequest request, CancellationToken cancellation = default);

    /// <summary>Log-likelihoods of candidate answers, in the order of the request.</summary>
    /// <exception cref="FlamingoException">Any kind but LatentsMissing.</exception>
    Task<FlamingoRanking> RankAsync(FlamingoRankRequest request, CancellationToken cancellation = default);

    /// <summary>Encodes pictures ahead of time and returns ids that later requests may send instead of bytes.</summary>
    /// <exception cref="FlamingoException">NotFound names the ids whose pictures are not held.</exception>
    Task<FlamingoEncoding> EncodeAsync(FlamingoEncodeRequest request, CancellationToken cancellation = default);

    /// <summary>Which model answers: sizes, limits, digests of its weights.</summary>
    Task<FlamingoModel> GetModelAsync(CancellationToken cancellation = default);
}

/// <param name="Segments">1 to 1024, in the order in which the model reads them.</param>
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

/// <param name="Segments">As in <see cref="FlamingoRequest"/>.</param>
/// <param name="Candidates">1 to the model's most candidates, none empty.</param>
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

/// <summary>Which cross-attention weights to average.</summary>
/// <param name="Layers">Indices among the gated blocks, 0-based; empty is all.</param>
/// <param name="Heads">0-based; empty is all.</param>
public sealed record AttentionChoice(IReadOnlyList<int> Layers, IReadOnlyList<int> Heads);

/// <summary>
/// The tenant that a request belongs to: no latent, picture id, cached prefix or support set of one is seen by another.
/// A name has 1 to 128 of A-Z a-z 0-9 . _ -, and the default tenant's is empty.
/// </summary>
public static class TenantName
{
    public const string Default = "";
    public const int MostCharacters = 128;

    public static bool IsWellFormed(string name) => name.Length <= MostCharacters
        && name.All(character => char.IsAsciiLetterOrDigit(character) || character is '.' or '_' or '-');
}
