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

public sealed record LanguageModelRequest(IReadOnlyList<PromptSegment> Segments, SamplingParameters Sampling);

/// <summary>How the next token is chosen. Order: repetition penalty, temperature, top-k, top-p.</summary>
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
}

public abstract record GenerationEvent;

/// <param name="Text">New text, never the stop token; empty while a character or a possible stop string is incomplete.</param>
/// <param name="Ids">New token ids, the stop token included.</param>
public sealed record TokensGenerated(string Text, IReadOnlyList<int> Ids) : GenerationEvent;

/// <param name="Prefill">Computing the prompt.</param>
/// <param name="FirstToken">From the request's arrival at this stage to its first token.</param>
/// <param name="Total">From arrival to the last token.</param>
public sealed record GenerationFinished(
    FinishReason Reason, int PromptTokens, int GeneratedTokens, TimeSpan Prefill, TimeSpan FirstToken, TimeSpan Total, string WeightsDigest) : GenerationEvent;

public enum FinishReason
{
    /// <summary>A stop token or stop string.</summary>
    Stop = 1,

    /// <summary>max_tokens or the context length.</summary>
    Length = 2,
}

/// <param name="Candidates">At least one; each tokenized alone, without a beginning token, and not empty.</param>
public sealed record RankRequest(IReadOnlyList<PromptSegment> Segments, IReadOnlyList<string> Candidates);

/// <param name="Candidates">In the order of the request.</param>
public sealed record Ranking(IReadOnlyList<RankedCandidate> Candidates, int PromptTokens, TimeSpan Prefill, TimeSpan Total, string WeightsDigest);

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
    string ImageToken, IReadOnlyList<string> PictureMarkers, string EndOfChunkToken, int MaxCandidates);
