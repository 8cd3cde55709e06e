using Flamingo.Checkpoints;
using Flamingo.Import.Sources;

namespace Flamingo.Import.Languages;

/// <summary>
/// How a language model of Hugging Face names its weights, and what its config.json says in the words of <see cref="LanguageConfig"/>.
/// </summary>
internal interface ILanguageFamily
{
    /// <summary>Reports every key of the configuration that would be computed wrongly, and those that this build does not know.</summary>
    void CheckKeys(string file, ImportReport report);

    int Width { get; }

    int LayerCount { get; }

    /// <summary>Name of the list of layers.</summary>
    string Layers { get; }

    string Embedding { get; }

    /// <summary>Name of the output projection; null where it is the token embedding.</summary>
    string? Head { get; }

    /// <summary>Takes everything but embeddings, head and gated blocks.</summary>
    LanguageConfig Take(WeightCollector weights, int vocabulary, CrossAttentionConfig crossAttention);
}
