using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine;

/// <summary>A tokenized prompt with its pictures.</summary>
/// <param name="Ids">Token ids, at least one.</param>
/// <param name="Pictures">Per token: index into <paramref name="Keys"/> of the picture that it sees, or −1.</param>
/// <param name="Keys">Latent key of every picture, in the order of the prompt; one key may stand several times.</param>
/// <param name="Latents">By key, each [latents, width]; keys may be absent that the engine is believed to hold.</param>
/// <param name="Capacity">
/// Most tokens that prompt and answer will ever have; memory for all of them is reserved before the first is computed.
/// </param>
public sealed record SequencePrompt(
    IReadOnlyList<int> Ids, IReadOnlyList<int> Pictures, IReadOnlyList<string> Keys, IReadOnlyDictionary<string, TensorData> Latents,
    int Capacity)
{
    /// <summary>The picture that a position sees, or −1; generated tokens see what the prompt's last token sees.</summary>
    public int PictureAt(int position) => Pictures[Math.Min(position, Pictures.Count - 1)];
}

/// <summary>A text that is scored behind a prompt.</summary>
/// <param name="Ids">Token ids, at least one.</param>
/// <param name="Pictures">Per token: index into the prompt's keys of the picture that it sees, or −1.</param>
public sealed record Candidate(IReadOnlyList<int> Ids, IReadOnlyList<int> Pictures);
