namespace Flamingo.Abstractions;

/// <param name="Candidates">The candidates in the order of the request.</param>
/// <param name="Pictures">One per picture of the prompt, as in <see cref="PicturesResolved"/>.</param>
public sealed record FlamingoRanking(
    IReadOnlyList<RankedCandidate> Candidates, IReadOnlyList<PictureReport> Pictures, int PromptTokens, StageTimings Timings,
    ModelDigests Digests)
{
    /// <inheritdoc cref="AnswerFinished.CachedTokens"/>
    public int CachedTokens { get; init; }

    public CacheUse Cache { get; init; } = CacheUse.None;

    /// <summary>The selected shots in the order of the first prompt; null if the request named no support set.</summary>
    public SelectedShots? Shots { get; init; }
}

/// <param name="TokenLogLikelihoods">Natural logarithm, one per token of the candidate.</param>
public sealed record RankedCandidate(string Text, IReadOnlyList<int> Ids, IReadOnlyList<float> TokenLogLikelihoods)
{
    public double Sum => TokenLogLikelihoods.Sum(value => (double)value);

    public double Mean => Sum / TokenLogLikelihoods.Count;
}

/// <param name="Pictures">One per picture of the request, in order.</param>
/// <param name="Pooled">One per picture, f32 [pooled width]; empty unless the request asked for pooled embeddings.</param>
public sealed record FlamingoEncoding(
    IReadOnlyList<PictureReport> Pictures, IReadOnlyList<TensorData> Pooled, StageTimings Timings, ModelDigests Digests)
{
    public CacheUse Cache { get; init; } = CacheUse.None;
}
