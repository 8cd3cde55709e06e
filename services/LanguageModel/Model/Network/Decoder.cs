using Flamingo.Checkpoints;
using Flamingo.Modeling;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace Flamingo.LanguageModel.Network;

/// <summary>
/// The frozen decoder with gated cross-attention before some of its layers, driven by <see cref="LanguageConfig"/>.
/// Families so far: MPT-1B (mosaic_gpt) and MPT-7B (mpt), Press et al. 2022 for ALiBi. One sequence at a time.
/// </summary>
public sealed class Decoder : IDisposable
{
    private readonly LanguageConfig _config;
    private readonly Tensor _tokenEmbedding;
    private readonly Tensor? _outputWeight;
    private readonly DecoderLayer[] _layers;
    private readonly Dictionary<int, GatedCrossAttention> _gated;
    private readonly LayerNorm _finalNorm;
    private readonly Device _device;

    public Decoder(LanguageConfig config, WeightsReader weights, Device device)
    {
        Refuse("language.norm", config.Norm, "layer_norm");
        Refuse("language.positions", config.Positions, "alibi");
        Refuse("language.feed_forward", config.FeedForward, "gelu");
        Refuse("language.parallel_residual", config.ParallelResidual ? "true" : "false", "false");
        Refuse("language.query_key_norm", config.QueryKeyNorm, "none", "full_width");
        (_config, _device) = (config, device);
        _tokenEmbedding = weights.Take("token_embedding.weight", config.VocabularySize, config.Width);
        _layers = [.. Enumerable.Range(0, config.Layers).Select(layer => new DecoderLayer(config, weights, $"layers.{layer}", device))];
        _gated = config.CrossAttention.Layers.ToDictionary(layer => layer, layer => new GatedCrossAttention(config.CrossAttention, config.Width, weights, $"layers.{layer}.gated_cross_attention"));
        _finalNorm = new LayerNorm(weights, "final_norm", config.Width, config.NormEpsilon);
        if (!config.TiedEmbeddings) _outputWeight = weights.Take("output.weight", config.VocabularySize, config.Width);
    }

    public KeyValueCache NewCache(int capacity) => new(_config.Layers, _config.Heads, _config.Width / _config.Heads, capacity, _device);

    /// <summary>A picture's keys and values for every gated block, by decoder layer.</summary>
    /// <param name="latents">[latents, latent width]</param>
    public IReadOnlyDictionary<int, PictureKeyValues> Project(Tensor latents) =>
        _gated.ToDictionary(block => block.Key, block => block.Value.Project(latents));

    /// <summary>Hidden states of new tokens behind those that the cache holds; the cache then holds them too.</summary>
    /// <param name="ids">New token ids.</param>
    /// <param name="spans">Rows of <paramref name="ids"/> that see a picture.</param>
    /// <param name="pictures">Per picture, what <see cref="Project"/> returned.</param>
    /// <returns>[tokens, width], before the output projection.</returns>
    public Tensor Forward(IReadOnlyList<int> ids, IReadOnlyList<PictureSpan> spans, IReadOnlyList<IReadOnlyDictionary<int, PictureKeyValues>> pictures, KeyValueCache cache)
    {
        var x = _tokenEmbedding.index_select(0, tensor(ids.Select(id => (long)id).ToArray(), device: _device)); // [tokens, width]
        for (var layer = 0; layer < _layers.Length; layer++)
        {
            if (_gated.TryGetValue(layer, out var block)) x = block.Forward(x, spans, [.. pictures.Select(picture => picture[layer])]);
            x = _layers[layer].Forward(x, layer, cache);
        }

        cache.Length += ids.Count;
        return _finalNorm.Forward(x);
    }

    /// <param name="hidden">[tokens, width]</param>
    /// <returns>[tokens, vocabulary]</returns>
    public Tensor Logits(Tensor hidden) => F.linear(hidden, _outputWeight ?? _tokenEmbedding);

    public void Dispose()
    {
        _tokenEmbedding.Dispose();
        _outputWeight?.Dispose();
        _finalNorm.Dispose();
        foreach (var layer in _layers) layer.Dispose();
        foreach (var block in _gated.Values) block.Dispose();
    }

    private static void Refuse(string field, string value, params ReadOnlySpan<string> known)
    {
        if (!known.Contains(value)) throw new CheckpointException($"flamingo.json: {field} is '{value}'; this build computes {string.Join(" or ", known.ToArray())}.");
    }
}
