using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine;

/// <summary>A tokenized prompt with its pictures.</summary>
/// <param name="Ids">Token ids.</param>
/// <param name="Pictures">Per token: index into <paramref name="Latents"/> of the last picture at or before it, or −1.</param>
/// <param name="Latents">Distinct pictures, each [latents, width].</param>
/// <param name="Capacity">Most tokens the sequence will ever hold; memory for all of them is leased at the start.</param>
public sealed record SequencePrompt(IReadOnlyList<int> Ids, IReadOnlyList<int> Pictures, IReadOnlyList<TensorData> Latents, int Capacity);

/// <summary>Turns tokens into logits: the Torch runner in the service, a scripted one in tests.</summary>
public interface IModelRunner
{
    /// <summary>Leases memory for the sequence and projects its pictures; disposing it gives everything back.</summary>
    Task<IModelSequence> StartAsync(SequencePrompt prompt, CancellationToken cancellation);
}

/// <summary>One sequence with its key-value cache.</summary>
public interface IModelSequence : IAsyncDisposable
{
    /// <summary>Computes the prompt; logits of its last token, [vocabulary].</summary>
    Task<float[]> PrefillAsync(CancellationToken cancellation);

    /// <summary>Appends one token; logits after it, [vocabulary].</summary>
    Task<float[]> DecodeAsync(int token, CancellationToken cancellation);

    /// <summary>Natural log-likelihood of every token of a candidate after the prompt; the sequence stays as it was. Call after <see cref="PrefillAsync"/>.</summary>
    Task<IReadOnlyList<float>> ScoreAsync(IReadOnlyList<int> candidate, CancellationToken cancellation);
}

/// <summary>Text of a stream of tokens; a character that spans several tokens comes out once, whole.</summary>
public interface ITokenStream
{
    /// <summary>The text that this token completes; empty while a character is incomplete.</summary>
    string Push(int id);

    /// <summary>What is left when no token follows, replacement characters for incomplete bytes included.</summary>
    string Flush();
}
