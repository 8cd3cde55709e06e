namespace Flamingo.Abstractions;

/// <summary>
/// What an answer consists of, in the order in which it arrives: one <see cref="PicturesResolved"/>, any number of
/// <see cref="AnswerTokens"/>, one <see cref="AnswerFinished"/>. The language model stage sends the last two, and the gateway
/// completes them with what only it knows.
/// </summary>
public abstract record AnswerEvent;

/// <param name="Pictures">One per picture of the prompt, in order: the shots of a support set first, then the picture segments.</param>
/// <param name="Lookup">Time in the latent cache, both tiers.</param>
public sealed record PicturesResolved(
    IReadOnlyList<PictureReport> Pictures, TimeSpan Lookup, TimeSpan Vision, TimeSpan Resample) : AnswerEvent
{
    public CacheUse Cache { get; init; } = CacheUse.None;

    /// <summary>Where a support set was asked for.</summary>
    public SelectedShots? Shots { get; init; }
}

/// <param name="Text">
/// New text, without the stop token; empty while a character or a possible stop string is incomplete.
/// </param>
/// <param name="Ids">New token ids, the stop token included.</param>
public sealed record AnswerTokens(string Text, IReadOnlyList<int> Ids) : AnswerEvent
{
    /// <summary>Which of several answers, 0-based.</summary>
    public int Sample { get; init; }

    /// <summary>One per id, where asked for.</summary>
    public IReadOnlyList<TokenLogProbability> LogProbabilities { get; init; } = [];

    /// <summary>One per id, where asked for; null for a token that sees no picture.</summary>
    public IReadOnlyList<TokenAttention?> Attention { get; init; } = [];
}

/// <param name="LogProbability">Natural logarithm.</param>
/// <param name="Top">The most likely tokens, best first.</param>
public sealed record TokenLogProbability(int Id, float LogProbability, IReadOnlyList<(int Id, float LogProbability)> Top);

/// <summary>What the position that chose a token saw of its picture.</summary>
/// <param name="Picture">Index among the prompt's pictures.</param>
/// <param name="Weights">[latents], sums to one: the mean over the chosen layers and heads.</param>
public sealed record TokenAttention(int Picture, TensorData Weights)
{
    /// <summary>
    /// The same over the picture itself: [rows, columns] of patches, the frames of a clip on top of each other
    /// ([frames × rows, columns]), sums to one. The gateway adds it; it is null in what the language model stage sends.
    /// </summary>
    public TensorData? Map { get; init; }
}

/// <param name="Reason">Of the first answer.</param>
/// <param name="GeneratedTokens">Of all answers together.</param>
/// <param name="Seed">
/// The seed used, so that a sampled answer can be repeated. The gateway sets it; it is 0 in what the language model stage sends.
/// </param>
/// <param name="Timings">
/// The language model stage sends its own times (Prefill, and FirstToken and Total from the request's arrival there); the gateway
/// replaces them by times from the request's arrival at the gateway.
/// </param>
/// <param name="Digests">The language model stage sends its own alone; the gateway adds the others.</param>
public sealed record AnswerFinished(
    FinishReason Reason, int PromptTokens, int GeneratedTokens, ulong Seed, StageTimings Timings, ModelDigests Digests) : AnswerEvent
{
    /// <summary>Prompt tokens whose keys and values another request had computed.</summary>
    public int CachedTokens { get; init; }

    /// <summary>One per answer.</summary>
    public IReadOnlyList<FinishedSample> Samples { get; init; } = [];

    /// <summary>The end of an answer as the language model stage knows it.</summary>
    /// <param name="prefill">Computing the prompt.</param>
    /// <param name="firstToken">From the request's arrival at the stage to its first token.</param>
    /// <param name="total">From that arrival to the last token.</param>
    /// <param name="weightsDigest">Of the language model.</param>
    public static AnswerFinished OfLanguageModel(
        FinishReason reason, int promptTokens, int generatedTokens, TimeSpan prefill, TimeSpan firstToken, TimeSpan total,
        string weightsDigest) => new(
            reason, promptTokens, generatedTokens, Seed: 0,
            new StageTimings(TimeSpan.Zero, TimeSpan.Zero, TimeSpan.Zero, prefill, firstToken, total),
            new ModelDigests("", "", weightsDigest));
}

/// <param name="Score">Of a beam; null without beam search.</param>
public sealed record FinishedSample(FinishReason Reason, int GeneratedTokens, double? Score);

public enum FinishReason
{
    /// <summary>A stop token or stop string.</summary>
    Stop = 1,

    /// <summary>max_tokens or the context length.</summary>
    Length = 2,
}
