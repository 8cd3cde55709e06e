using System.Security.Cryptography;
using Flamingo.Abstractions;

namespace Flamingo.Stages;

/// <summary>Text and latents to tokens.</summary>
public interface ILanguageModel
{
    Task<LanguageModelDescription> DescribeAsync(CancellationToken cancellation);

    /// <summary>
    /// Streams the continuation: any number of <see cref="AnswerTokens"/> without maps, then one <see cref="AnswerFinished"/> with
    /// this stage's own times and digest and without a seed.
    /// </summary>
    /// <exception cref="FlamingoException">InvalidArgument, LatentsMissing, Overloaded, Internal (non-finite logits).</exception>
    IAsyncEnumerable<AnswerEvent> GenerateAsync(LanguageModelRequest request, CancellationToken cancellation);

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

/// <param name="Candidates">At least one; each tokenized alone, without a beginning token, and not empty.</param>
public sealed record RankRequest(IReadOnlyList<PromptSegment> Segments, IReadOnlyList<string> Candidates)
{
    /// <inheritdoc cref="LanguageModelRequest.Tenant"/>
    public string Tenant { get; init; } = "";

    /// <inheritdoc cref="LanguageModelRequest.PinPrefix"/>
    public TimeSpan? PinPrefix { get; init; }
}

/// <param name="Candidates">In the order of the request.</param>
public sealed record Ranking(
    IReadOnlyList<RankedCandidate> Candidates, int PromptTokens, TimeSpan Prefill, TimeSpan Total, string WeightsDigest)
{
    /// <inheritdoc cref="AnswerFinished.CachedTokens"/>
    public int CachedTokens { get; init; }
}
