using Flamingo.Checkpoints;
using Flamingo.Modeling;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace Flamingo.LanguageModel.Network;

/// <summary>Pre-norm self-attention with ALiBi and feed-forward, each with a residual.</summary>
internal sealed class DecoderLayer : IDisposable
{
    private readonly LanguageConfig _config;
    private readonly LayerNorm _attentionNorm, _feedForwardNorm;
    private readonly LayerNorm? _queryNorm, _keyNorm;
    private readonly Linear _queryKeyValue, _output, _up, _down;
    private readonly Tensor _slopes;

    public DecoderLayer(LanguageConfig config, WeightsReader weights, string name, Device device)
    {
        _config = config;
        var width = config.Width;
        _attentionNorm = new LayerNorm(weights, $"{name}.attention_norm", width, config.NormEpsilon);
        _queryKeyValue = new Linear(weights, $"{name}.attention.query_key_value", width, 3 * width);
        if (config.QueryKeyNorm == "full_width")
        {
            _queryNorm = new LayerNorm(weights, $"{name}.attention.query_norm", width, config.NormEpsilon);
            _keyNorm = new LayerNorm(weights, $"{name}.attention.key_norm", width, config.NormEpsilon);
        }

        _output = new Linear(weights, $"{name}.attention.output", width, width);
        _feedForwardNorm = new LayerNorm(weights, $"{name}.feed_forward_norm", width, config.NormEpsilon);
        _up = new Linear(weights, $"{name}.feed_forward.up", width, config.FeedForwardWidth);
        _down = new Linear(weights, $"{name}.feed_forward.down", config.FeedForwardWidth, width);
        _slopes = tensor(Alibi.Slopes(config.Heads, config.AlibiMaxBias), [config.Heads, 1, 1], device: device).DetachFromDisposeScope();
    }

    public Tensor Forward(Tensor x, int layer, KeyValueCache cache)                           // [tokens, width]
    {
        x = x + Attend(_attentionNorm.Forward(x), layer, cache);
        return x + _down.Forward(F.gelu(_up.Forward(_feedForwardNorm.Forward(x))));
    }

    public void Dispose()
    {
        foreach (var part in new IDisposable?[] { _attentionNorm, _feedForwardNorm, _queryNorm, _keyNorm, _queryKeyValue, _output, _up, _down, _slopes }) part?.Dispose();
    }

    private Tensor Attend(Tensor x, int layer, KeyValueCache cache)
    {
        var parts = _queryKeyValue.Forward(x).chunk(3, -1);                                   // Q, K, V, each [tokens, width]
        var query = Heads(_queryNorm?.Forward(parts[0]) ?? parts[0]);                         // [heads, tokens, head]
        var key = Heads(_keyNorm?.Forward(parts[1]) ?? parts[1]);
        var (keys, values) = cache.Append(layer, key, Heads(parts[2]));                       // [heads, all, head]
        var mixed = F.scaled_dot_product_attention(query, keys, values, attn_mask: Bias(query.shape[1], keys.shape[1]));
        return _output.Forward(mixed.transpose(0, 1).flatten(1));
    }

    // slope × (j − i) for the past, −∞ for the future; rows are the newest tokens
    private Tensor Bias(long rows, long columns)
    {
        var past = columns - rows;
        var distance = arange(columns, ScalarType.Float32, _slopes.device).unsqueeze(0) - arange(past, columns, ScalarType.Float32, _slopes.device).unsqueeze(1); // j − i, [rows, columns]
        return (_slopes * distance).masked_fill(distance.gt(0), float.NegativeInfinity);      // [heads, rows, columns]
    }

    private Tensor Heads(Tensor x) => x.unflatten(1, [_config.Heads, _config.Width / _config.Heads]).transpose(0, 1);
}

/// <summary>Attention with linear biases (Press et al. 2022), slopes as MPT's gen_slopes computes them.</summary>
public static class Alibi
{
    /// <returns>One slope per head. For a head count that is no power of two: those of the next one, every second first.</returns>
    public static float[] Slopes(int heads, double maxBias)
    {
        var rounded = (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)heads);
        var slopes = Enumerable.Range(1, rounded).Select(head => (float)Math.Pow(2, -head * maxBias / rounded)).ToArray();
        return rounded == heads ? slopes : [.. slopes.Where((_, index) => index % 2 == 1).Concat(slopes.Where((_, index) => index % 2 == 0)).Take(heads)];
    }
}
