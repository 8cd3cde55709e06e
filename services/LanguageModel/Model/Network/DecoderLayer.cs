using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Network.Attention;
using Flamingo.Modeling;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace Flamingo.LanguageModel.Network;

/// <summary>Pre-norm self-attention with ALiBi and feed-forward, each with a residual.</summary>
internal sealed class DecoderLayer : IDisposable
{
    private readonly LayerNorm _attentionNorm, _feedForwardNorm;
    private readonly LayerNorm? _queryNorm, _keyNorm;
    private readonly Linear _queryKeyValue, _output, _up, _down;
    private readonly float[] _slopes;

    public DecoderLayer(LanguageConfig config, WeightsReader weights, string name)
    {
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
        _slopes = Alibi.Slopes(config.Heads, config.AlibiMaxBias);
    }

    /// <param name="store">Keys and values of this layer; those of the new rows are written.</param>
    public Tensor Forward(Tensor x, (Tensor Keys, Tensor Values) store, AttentionRows rows, IBlockAttention attention) // [rows, width]
    {
        x = x + Attend(_attentionNorm.Forward(x), store, rows, attention);
        return x + _down.Forward(F.gelu(_up.Forward(_feedForwardNorm.Forward(x))));
    }

    public void Dispose()
    {
        foreach (var part in new IDisposable?[] { _attentionNorm, _feedForwardNorm, _queryNorm, _keyNorm, _queryKeyValue, _output, _up, _down }) part?.Dispose();
    }

    private Tensor Attend(Tensor x, (Tensor Keys, Tensor Values) store, AttentionRows rows, IBlockAttention attention)
    {
        var parts = _queryKeyValue.Forward(x).chunk(3, -1);                                   // Q, K, V, each [rows, width]
        var query = _queryNorm?.Forward(parts[0]) ?? parts[0];
        attention.Append(store.Keys, store.Values, _keyNorm?.Forward(parts[1]) ?? parts[1], parts[2], rows);
        return _output.Forward(attention.Forward(query, store.Keys, store.Values, rows, _slopes));
    }
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
