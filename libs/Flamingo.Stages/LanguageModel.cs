using System.Security.Cryptography;
using Flamingo.Abstractions;

namespace Flamingo.Stages;

/// <summary>The language model stage, which turns text and latents into tokens.</summary>
public interface ILanguageModel
{
    Task<LanguageModelDescription> DescribeAsync(CancellationToken cancellation);

    /// <summary>
    /// Streams the continuation of a prompt: any number of <see cref="AnswerTokens"/> without attention maps, then one
    /// <see cref="AnswerFinished"/> with this stage's own times and digest and without a seed.
    /// </summary>
    /// <exception cref="FlamingoException">InvalidArgument, LatentsMissing, Overloaded, Internal (non-finite logits).</exception>
    IAsyncEnumerable<AnswerEvent> GenerateAsync(LanguageModelRequest request, CancellationToken cancellation);

    /// <summary>Computes the log-likelihood of every candidate after a shared prefix, which is computed once.</summary>
    Task<Ranking> RankAsync(RankRequest request, CancellationToken cancellation);

    /// <summary>
    /// Returns the token ids of a prompt. All segments are joined, with the image token in place of each picture, and tokenized
    /// once.
    /// </summary>
    Task<IReadOnlyList<int>> TokenizeAsync(IReadOnlyList<PromptSegment> segments, CancellationToken cancellation);
}

/// <summary>A segment of an interleaved prompt in the form that the language model receives.</summary>
public abstract record PromptSegment;

/// <summary>Text, which must not contain the image token or another picture marker.</summary>
public sealed record TextSegment(string Text) : PromptSegment;

/// <summary>A picture, named by its latent key. Stages behind the gateway know pictures only by this key.</summary>
/// <param name="Key">Lowercase hexadecimal SHA-256, 64 characters.</param>
/// <param name="Latents">[latents, width] with its checksum; null if the language model is believed to hold the latents already.</param>
public sealed record PictureSegment(string Key, ChecksummedLatents? Latents) : PromptSegment
{
    /// <summary>
    /// Checksum of the latents that are meant, 32 bytes, also where they are not sent: two values of one key are two pictures. Without it
    /// the latents must be sent, for this picture or for another of the same key in the request.
    /// </summary>
    public ReadOnlyMemory<byte> Checksum { get; init; } = Latents?.Checksum ?? default;
}

/// <summary>
/// Latents and the checksum computed when they were encoded. The receiver checks it before it stores the latents under a key.
/// </summary>
/// <param name="Checksum">SHA-256 of the tensor's bytes, 32 bytes.</param>
public sealed record ChecksummedLatents(TensorData Tensor, ReadOnlyMemory<byte> Checksum)
{
    public static ChecksummedLatents Of(TensorData tensor) => new(tensor, SHA256.HashData(tensor.Bytes.Span));

    public bool IsIntact() => Checksum.Span.SequenceEqual(SHA256.HashData(Tensor.Bytes.Span));
}

public sealed record LanguageModelRequest(IReadOnlyList<PromptSegment> Segments, SamplingParameters Sampling)
{
    /// <summary>
    /// Digest of the tenant, 64 lowercase hexadecimal characters, or empty. It salts the prefix hashes, so that tenants share no prefix,
    /// and it selects the scheduler's queue, so that no tenant can starve another.
    /// </summary>
    public string Tenant { get; init; } = "";

    /// <summary>How long the prompt's keys and values are kept from eviction after the answer; null does not pin them.</summary>
    public TimeSpan? PinPrefix { get; init; }

    /// <summary>Which cross-attention weights to return per generated token; null returns none and adds no cost.</summary>
    public AttentionChoice? Attention { get; init; }
}

/// <param name="Candidates">At least one text, none of them empty. Each is tokenized separately, without a beginning-of-sequence
/// token.</param>
public sealed record RankRequest(IReadOnlyList<PromptSegment> Segments, IReadOnlyList<string> Candidates)
{
    /// <inheritdoc cref="LanguageModelRequest.Tenant"/>
    public string Tenant { get; init; } = "";

    /// <inheritdoc cref="LanguageModelRequest.PinPrefix"/>
    public TimeSpan? PinPrefix { get; init; }
}

/// <param name="Candidates">The candidates in the order of the request.</param>
public sealed record Ranking(
    IReadOnlyList<RankedCandidate> Candidates, int PromptTokens, TimeSpan Prefill, TimeSpan Total, string WeightsDigest)
{
    /// <inheritdoc cref="AnswerFinished.CachedTokens"/>
    public int CachedTokens { get; init; }
}
