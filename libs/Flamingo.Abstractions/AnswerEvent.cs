namespace Flamingo.Abstractions;

/// <summary>
/// An event of an answer. The events arrive in this order: one <see cref="PicturesResolved"/>, any number of
/// <see cref="AnswerTokens"/>, one <see cref="AnswerFinished"/>. The language model stage sends the token events and the final
/// event; the gateway fills in the fields that only the gateway knows.
/// </summary>
public abstract record AnswerEvent;

/// <param name="Pictures">One per picture of the prompt, in order: the shots of a support set first, then the picture segments.</param>
/// <param name="Lookup">Time of the lookups in both tiers of the latent cache.</param>
public sealed record PicturesResolved(
    IReadOnlyList<PictureReport> Pictures, TimeSpan Lookup, TimeSpan Vision, TimeSpan Resample) : AnswerEvent
{
    public CacheUse Cache { get; init; } = CacheUse.None;

    /// <summary>The selected shots; null if the request named no support set.</summary>
    public SelectedShots? Shots { get; init; }
}

/// <param name="Text">
/// New text, without the stop token. It is empty while a character is incomplete or while the text may still become a stop string.
/// </param>
/// <param name="Ids">New token ids, the stop token included.</param>
public sealed record AnswerTokens(string Text, IReadOnlyList<int> Ids) : AnswerEvent
{
    /// <summary>Index of the answer that these tokens belong to, 0-based.</summary>
    public int Sample { get; init; }

    /// <summary>One log-probability per id; empty unless the request asked for log-probabilities.</summary>
    public IReadOnlyList<TokenLogProbability> LogProbabilities { get; init; } = [];

    /// <summary>Attention per id; empty unless the request asked for attention, null for a token that attends to no picture.</summary>
    public IReadOnlyList<TokenAttention?> Attention { get; init; } = [];
}

/// <param name="LogProbability">Natural logarithm.</param>
/// <param name="Top">The most likely tokens, best first.</param>
public sealed record TokenLogProbability(int Id, float LogProbability, IReadOnlyList<(int Id, float LogProbability)> Top)
{
    /// <summary>
    /// The UTF-8 texts of the token and then of each of <see cref="Top"/>. A token may hold a part of a character. Empty if the service
    /// does not report them.
    /// </summary>
    public IReadOnlyList<ReadOnlyMemory<byte>> Texts { get; init; } = [];
}

/// <summary>Cross-attention weights, over one picture, of the position whose logits chose a token.</summary>
/// <param name="Picture">Index among the prompt's pictures.</param>
/// <param name="Weights">[latents]; the mean over the chosen layers and heads, which sums to one.</param>
public sealed record TokenAttention(int Picture, TensorData Weights)
{
    /// <summary>
    /// The weights projected onto the picture's patches: [rows, columns], or [frames × rows, columns] for a clip, whose frames
    /// are stacked vertically. The values sum to one. The gateway adds it; it is null in what the language model stage sends.
    /// </summary>
    public TensorData? Map { get; init; }
}

/// <param name="Reason">Why the first answer ended.</param>
/// <param name="GeneratedTokens">Number of generated tokens, summed over all answers.</param>
/// <param name="Seed">
/// The seed used, so that a sampled answer can be repeated. The gateway sets it; it is 0 in what the language model stage sends.
/// </param>
/// <param name="Timings">
/// The language model stage sends its own times (Prefill, and FirstToken and Total counted from the request's arrival at the
/// stage); the gateway replaces FirstToken and Total by times counted from the request's arrival at the gateway.
/// </param>
/// <param name="Digests">The language model stage sends only its own digest; the gateway adds the digests of the other stages.</param>
public sealed record AnswerFinished(
    FinishReason Reason, int PromptTokens, int GeneratedTokens, ulong Seed, StageTimings Timings, ModelDigests Digests) : AnswerEvent
{
    /// <summary>Number of prompt tokens whose keys and values were reused from an earlier request.</summary>
    public int CachedTokens { get; init; }

    /// <summary>How each answer ended, one entry per answer.</summary>
    public IReadOnlyList<FinishedSample> Samples { get; init; } = [];

    /// <summary>Creates the final event of an answer with the fields that the language model stage knows.</summary>
    /// <param name="prefill">Time to compute the prompt.</param>
    /// <param name="firstToken">Time from the request's arrival at the stage to its first token.</param>
    /// <param name="total">Time from the request's arrival at the stage to its last token.</param>
    /// <param name="weightsDigest">Digest of the language model's weights.</param>
    public static AnswerFinished OfLanguageModel(
        FinishReason reason, int promptTokens, int generatedTokens, TimeSpan prefill, TimeSpan firstToken, TimeSpan total,
        string weightsDigest) => new(
            reason, promptTokens, generatedTokens, Seed: 0,
            new StageTimings(TimeSpan.Zero, TimeSpan.Zero, TimeSpan.Zero, prefill, firstToken, total),
            new ModelDigests("", "", weightsDigest));
}

/// <param name="Score">Score of the beam; null without beam search.</param>
public sealed record FinishedSample(FinishReason Reason, int GeneratedTokens, double? Score);

public enum FinishReason
{
    /// <summary>The answer reached a stop token or a stop string.</summary>
    Stop = 1,

    /// <summary>The answer reached max_tokens or the context length.</summary>
    Length = 2,
}
