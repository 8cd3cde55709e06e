using System.Security.Cryptography;

namespace Flamingo.Stages;

/// <summary>Text and latents to tokens.</summary>
public interface ILanguageModel
{
    Task<LanguageModelDescription> DescribeAsync(CancellationToken cancellation);

    /// <summary>Streams the continuation: any number of <see cref="TokensGenerated"/>, then one <see cref="GenerationFinished"/>.</summary>
    /// <exception cref="StageException">InvalidArgument, LatentsMissing, Overloaded, Internal (non-finite logits).</exception>
    IAsyncEnumerable<GenerationEvent> GenerateAsync(LanguageModelRequest request, CancellationToken cancellation);

    /// <summary>Log-likelihood of every candidate after one shared prefix, which is computed once.</summary>
    Task<Ranking> RankAsync(RankRequest request, CancellationToken cancellation);

    /// <summary>Token ids of a prompt: all segments joined, the image token standing for each picture, tokenized once.</summary>
    Task<IReadOnlyList<int>> TokenizeAsync(IReadOnlyList<PromptSegment> segments, CancellationToken cancellation);
}

/// <summary>A piece of an interleaved prompt as the language model sees it.</summary>
public abstract record PromptSegment;

/// <summary>Text; must not contain the image token or another picture marker.</summary>
public sealed record TextSegment(string Text) : PromptSegment;

/// <summary>A picture, by its latent key: the only name it has beyond the gateway.</summary>
/// <param name="Key">Lowercase hexadecimal SHA-256, 64 characters.</param>
/// <param name="Latents">[latents, width] with its checksum; null if the service is believed to hold it.</param>
public sealed record PictureSegment(string Key, ChecksummedLatents? Latents) : PromptSegment;

/// <summary>Latents and the checksum they were made with, checked before they are bound to a key.</summary>
/// <param name="Checksum">SHA-256 of the tensor's bytes, 32 bytes.</param>
public sealed record ChecksummedLatents(TensorData Tensor, ReadOnlyMemory<byte> Checksum)
{
    public static ChecksummedLatents Of(TensorData tensor) => new(tensor, SHA256.HashData(tensor.Bytes.Span));

    public bool IsIntact() => Checksum.Span.SequenceEqual(SHA256.HashData(Tensor.Bytes.Span));
}

public sealed record LanguageModelRequest(IReadOnlyList<PromptSegment> Segments, SamplingParameters Sampling)
{
    /// <summary>Salt of prefix hashes and the queue that a request waits in: tenants share no prefix, and none starves another.</summary>
    public string Tenant { get; init; } = "";

    /// <summary>How long the prompt's keys and values are kept from eviction after the answer; null leaves them to chance.</summary>
    public TimeSpan? PinPrefix { get; init; }

    /// <summary>Cross-attention weights per generated token; null is off and costs nothing.</summary>
    public AttentionChoice? Attention { get; init; }
}

/// <summary>Which cross-attention weights to average.</summary>
/// <param name="Layers">Indices among the gated blocks, 0-based; empty is all.</param>
/// <param name="Heads">0-based; empty is all.</param>
public sealed record AttentionChoice(IReadOnlyList<int> Layers, IReadOnlyList<int> Heads);

/// <summary>How the next token is chosen. Order: logit bias and allowed tokens, repetition penalty, temperature, top-k, top-p.</summary>
public sealed record SamplingParameters
{
    /// <summary>Most tokens to generate, at least 1.</summary>
    public int MaxTokens { get; init; } = 32;

    /// <summary>0 is greedy; otherwise logits are divided by it. 0 to 2.</summary>
    public float Temperature { get; init; }

    /// <summary>Keep the k most likely tokens; 0 keeps all.</summary>
    public int TopK { get; init; }

    /// <summary>Keep the smallest set of tokens whose probability reaches it; above 0, at most 1.</summary>
    public float TopP { get; init; } = 1;

    /// <summary>Seed of the counter-based generator (seed, position); the gateway draws one where it is absent.</summary>
    public ulong? Seed { get; init; }

    /// <summary>Divides positive and multiplies negative logits of tokens that prompt or answer already hold; 1 is off. 0.1 to 10.</summary>
    public float RepetitionPenalty { get; init; } = 1;

    /// <summary>Generation stops before any of these would appear; at most 16 strings of 1 to 256 characters.</summary>
    public IReadOnlyList<string> StopStrings { get; init; } = [];

    /// <summary>Generation stops at any of these token ids besides the model's own; at most 64.</summary>
    public IReadOnlyList<int> StopTokens { get; init; } = [];

    /// <summary>Answers of one prompt, which is computed once; sample i of seed s draws with seed s + i. With beams: how many of the best to return.</summary>
    public int Samples { get; init; } = 1;

    /// <summary>Beams of a beam search as transformers 4.33 does it; 1 is off. Greedy only: temperature 0.</summary>
    public int Beams { get; init; } = 1;

    /// <summary>A beam's score is its log-likelihood / (prompt and generated length) ^ this. −5 to 5.</summary>
    public float LengthPenalty { get; init; } = 1;

    /// <summary>Added to logits before anything else, by token id; −100 to 100, at most 1024 ids.</summary>
    public IReadOnlyDictionary<int, float> LogitBias { get; init; } = new Dictionary<int, float>();

    /// <summary>The only token ids that may be generated, the model's stop tokens included where wanted; empty is all.</summary>
    public IReadOnlyList<int> AllowedTokens { get; init; } = [];

    /// <summary>Log-probabilities of each generated token and of the n most likely ones, from the logits before sampling changes them; null is off, at most 20.</summary>
    public int? LogProbabilities { get; init; }
}

public abstract record GenerationEvent;

/// <param name="Text">New text, never the stop token; empty while a character or a possible stop string is incomplete.</param>
/// <param name="Ids">New token ids, the stop token included.</param>
public sealed record TokensGenerated(string Text, IReadOnlyList<int> Ids) : GenerationEvent
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
/// <param name="Picture">Index among the prompt's picture segments.</param>
/// <param name="Weights">[latents], sums to one: the mean over the chosen layers and heads.</param>
public sealed record TokenAttention(int Picture, TensorData Weights);

/// <param name="Reason">Of the first answer.</param>
/// <param name="GeneratedTokens">Of all answers together.</param>
/// <param name="Prefill">Computing the prompt.</param>
/// <param name="FirstToken">From the request's arrival at this stage to its first token.</param>
/// <param name="Total">From arrival to the last token.</param>
public sealed record GenerationFinished(
    FinishReason Reason, int PromptTokens, int GeneratedTokens, TimeSpan Prefill, TimeSpan FirstToken, TimeSpan Total, string WeightsDigest) : GenerationEvent
{
    /// <summary>Prompt tokens whose keys and values another request had computed.</summary>
    public int CachedTokens { get; init; }

    /// <summary>One per answer.</summary>
    public IReadOnlyList<FinishedSample> Samples { get; init; } = [];
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

/// <param name="Candidates">At least one; each tokenized alone, without a beginning token, and not empty.</param>
public sealed record RankRequest(IReadOnlyList<PromptSegment> Segments, IReadOnlyList<string> Candidates)
{
    /// <inheritdoc cref="LanguageModelRequest.Tenant"/>
    public string Tenant { get; init; } = "";

    /// <inheritdoc cref="LanguageModelRequest.PinPrefix"/>
    public TimeSpan? PinPrefix { get; init; }
}

/// <param name="Candidates">In the order of the request.</param>
public sealed record Ranking(IReadOnlyList<RankedCandidate> Candidates, int PromptTokens, TimeSpan Prefill, TimeSpan Total, string WeightsDigest)
{
    /// <inheritdoc cref="GenerationFinished.CachedTokens"/>
    public int CachedTokens { get; init; }
}

/// <param name="TokenLogLikelihoods">Natural logarithm, one per token of the candidate.</param>
public sealed record RankedCandidate(string Text, IReadOnlyList<int> Ids, IReadOnlyList<float> TokenLogLikelihoods)
{
    public double Sum => TokenLogLikelihoods.Sum(value => (double)value);

    public double Mean => Sum / TokenLogLikelihoods.Count;
}

/// <param name="ContextLength">Most tokens of prompt and answer together.</param>
/// <param name="ImageToken">The text that stands for a picture, for example <c>&lt;image&gt;</c>.</param>
/// <param name="PictureMarkers">All texts that may not stand in a text segment, the image token among them.</param>
/// <param name="EndOfChunkToken">Ends an example and an answer.</param>
public sealed record LanguageModelDescription(
    string ModelId, string WeightsDigest, int VocabularySize, int ContextLength, int Latents, int LatentWidth,
    string ImageToken, IReadOnlyList<string> PictureMarkers, string EndOfChunkToken, int MaxCandidates)
{
    /// <summary>Gated blocks.</summary>
    public int CrossAttentionLayers { get; init; }

    public int CrossAttentionHeads { get; init; }

    /// <summary>Most answers or beams of one request.</summary>
    public int MaxSamples { get; init; }

    /// <summary>Longest time that a prefix may be pinned.</summary>
    public TimeSpan MaxPin { get; init; }

    /// <summary>Texts that are one token with a meaning of its own; <see cref="ITasks"/> breaks them where a user wrote them.</summary>
    public IReadOnlyList<string> SpecialTokens { get; init; } = [];

    /// <summary>How this checkpoint was trained to be asked.</summary>
    public PromptTemplates Prompts { get; init; } = new();
}
