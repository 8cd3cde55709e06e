using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine;

/// <summary>A tokenized prompt with its pictures.</summary>
/// <param name="Ids">Token ids, at least one.</param>
/// <param name="Pictures">Per token: index into <paramref name="Keys"/> of the last picture at or before it, or −1.</param>
/// <param name="Keys">Latent key of every picture, in the order of the prompt; one key may stand several times.</param>
/// <param name="Latents">By key, each [latents, width]; keys may be absent that the engine is believed to hold.</param>
/// <param name="Capacity">Most tokens that prompt and answer will ever have; memory for all of them is reserved before the first is computed.</param>
public sealed record SequencePrompt(
    IReadOnlyList<int> Ids, IReadOnlyList<int> Pictures, IReadOnlyList<string> Keys, IReadOnlyDictionary<string, TensorData> Latents, int Capacity)
{
    /// <summary>The picture that a position sees; positions behind the prompt see its last one.</summary>
    public int PictureAt(int position) => Pictures[Math.Min(position, Pictures.Count - 1)];
}
