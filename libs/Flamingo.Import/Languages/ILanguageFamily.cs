using Flamingo.Checkpoints;
using Flamingo.Import.Sources;

namespace Flamingo.Import.Languages;

/// <summary>
/// Translates a Hugging Face language model: its tensor names to the canonical names, and its config.json to a
/// <see cref="LanguageConfig"/>.
/// </summary>
internal interface ILanguageFamily
{
    /// <summary>Reports every key whose value this build would compute wrongly, and every key that this build does not know.</summary>
    void CheckKeys(string file, ImportReport report);

    int Width { get; }

    int LayerCount { get; }

    /// <summary>Published name of the list of decoder layers.</summary>
    string Layers { get; }

    /// <summary>Published name of the token embedding.</summary>
    string Embedding { get; }

    /// <summary>Published name of the output projection; null if the token embedding serves as output projection.</summary>
    string? Head { get; }

    /// <summary>Takes all tensors except the embeddings, the output projection and the gated blocks.</summary>
    LanguageConfig Take(WeightCollector weights, int vocabulary, CrossAttentionConfig crossAttention);
}
