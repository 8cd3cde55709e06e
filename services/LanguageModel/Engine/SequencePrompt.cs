using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine;

/// <summary>A tokenized prompt with its pictures.</summary>
/// <param name="Ids">Token ids, at least one.</param>
/// <param name="Pictures">For each token, the index into <paramref name="Keys"/> of the picture that it attends to, or −1.</param>
/// <param name="Keys">
/// <see cref="PictureName"/> of every picture, in the order of the prompt; a name may occur several times.
/// </param>
/// <param name="Latents">Latents by name, each [latents, width]. A picture that the engine already holds may be absent.</param>
/// <param name="Capacity">
/// Largest number of tokens of prompt and answer together. Memory for all of them is reserved before the first is computed.
/// </param>
public sealed record SequencePrompt(
    IReadOnlyList<int> Ids, IReadOnlyList<int> Pictures, IReadOnlyList<string> Keys, IReadOnlyDictionary<string, TensorData> Latents,
    int Capacity)
{
    /// <summary>
    /// Index of the picture that a position attends to, or −1. Generated tokens attend to the picture of the prompt's last token.
    /// </summary>
    public int PictureAt(int position) => Pictures[Math.Min(position, Pictures.Count - 1)];
}

/// <summary>A text that is scored as the continuation of a prompt.</summary>
/// <param name="Ids">Token ids, at least one.</param>
/// <param name="Pictures">For each token, the index into the prompt's keys of the picture that it attends to, or −1.</param>
public sealed record Candidate(IReadOnlyList<int> Ids, IReadOnlyList<int> Pictures);

/// <summary>
/// The name of a picture inside the engine: its latent key and the checksum of its latents. Slots and prefixes go by this name, so that two
/// values of one key never meet, whoever sent them.
/// </summary>
public static class PictureName
{
    /// <param name="checksum">Empty if the caller did not say which value it means; no slot ever has that name.</param>
    public static string Of(string key, ReadOnlySpan<byte> checksum) => $"{key}/{Convert.ToHexStringLower(checksum)}";

    public static string KeyOf(string name) => name.Split('/')[0];
}
