namespace Flamingo.Abstractions;

/// <summary>
/// The public calls of a model. The gateway implements them, and the client implements them by calling a gateway over gRPC, so
/// callers use a local and a remote model alike.
/// </summary>
public interface IFlamingo
{
    /// <summary>
    /// Streams the answer to a prompt: first one <see cref="PicturesResolved"/>, then any number of <see cref="AnswerTokens"/>, then one
    /// <see cref="AnswerFinished"/>.
    /// </summary>
    /// <exception cref="FlamingoException">Any kind except LatentsMissing; it is thrown while the caller reads the stream.</exception>
    IAsyncEnumerable<AnswerEvent> GenerateAsync(FlamingoRequest request, CancellationToken cancellation = default);

    /// <summary>Log-likelihoods of candidate answers, in the order of the request.</summary>
    /// <exception cref="FlamingoException">Any kind except LatentsMissing.</exception>
    Task<FlamingoRanking> RankAsync(FlamingoRankRequest request, CancellationToken cancellation = default);

    /// <summary>Encodes pictures ahead of time and returns ids that later requests may send instead of bytes.</summary>
    /// <exception cref="FlamingoException">NotFound lists the ids whose pictures the service does not hold.</exception>
    Task<FlamingoEncoding> EncodeAsync(FlamingoEncodeRequest request, CancellationToken cancellation = default);

    /// <summary>Describes the model: sizes, limits and digests of its weights.</summary>
    Task<FlamingoModel> GetModelAsync(CancellationToken cancellation = default);
}

/// <param name="Segments">1 to 1024 segments, in the order in which the model reads them.</param>
public sealed record FlamingoRequest(IReadOnlyList<FlamingoSegment> Segments, SamplingParameters Sampling)
{
    /// <inheritdoc cref="TenantName"/>
    public string Tenant { get; init; } = TenantName.Default;

    /// <summary>Examples to insert before the segments; the segments are then the query. Null adds no examples.</summary>
    public SupportSetChoice? SupportSet { get; init; }

    /// <summary>How long the prompt's keys and values are kept from eviction after the answer; null does not pin them.</summary>
    public TimeSpan? PinPrefix { get; init; }

    /// <summary>Which attention maps to return per generated token; null returns none and adds no cost.</summary>
    public AttentionChoice? Attention { get; init; }
}

/// <param name="Segments">As in <see cref="FlamingoRequest"/>.</param>
/// <param name="Candidates">1 to <see cref="LanguageModelDescription.MaxCandidates"/> texts, none of them empty.</param>
public sealed record FlamingoRankRequest(IReadOnlyList<FlamingoSegment> Segments, IReadOnlyList<string> Candidates)
{
    /// <inheritdoc cref="TenantName"/>
    public string Tenant { get; init; } = TenantName.Default;

    /// <inheritdoc cref="FlamingoRequest.SupportSet"/>
    public SupportSetChoice? SupportSet { get; init; }

    /// <summary>Averages the log-likelihoods over permutations of the support set's shots; null uses one order.</summary>
    public Ensemble? Ensemble { get; init; }

    /// <inheritdoc cref="FlamingoRequest.PinPrefix"/>
    public TimeSpan? PinPrefix { get; init; }
}

/// <param name="Pictures">At least one picture. The call fails with NotFound if the service does not hold the picture of an id.</param>
/// <param name="IncludePooled">Whether to return CLIP's pooled and projected embedding.</param>
public sealed record FlamingoEncodeRequest(IReadOnlyList<FlamingoVisual> Pictures, bool IncludePooled = false)
{
    /// <inheritdoc cref="TenantName"/>
    public string Tenant { get; init; } = TenantName.Default;
}

/// <summary>Which cross-attention weights to average.</summary>
/// <param name="Layers">Indices among the gated blocks, 0-based; empty means all.</param>
/// <param name="Heads">0-based; empty means all.</param>
public sealed record AttentionChoice(IReadOnlyList<int> Layers, IReadOnlyList<int> Heads);

/// <summary>
/// Name of the tenant that a request belongs to. Tenants do not share latents, picture ids, cached prefixes or support sets. A
/// name has 1 to 128 characters of A-Z a-z 0-9 . _ -, and the default tenant's name is empty.
/// </summary>
public static class TenantName
{
    public const string Default = "";
    public const int MostCharacters = 128;

    public static bool IsWellFormed(string name) => name.Length <= MostCharacters
        && name.All(character => char.IsAsciiLetterOrDigit(character) || character is '.' or '_' or '-');
}
