using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Network.Attention;
using Flamingo.LanguageModel.Network.FewRows;
using Flamingo.Modeling.Layers;
using Flamingo.Modeling.Tensors;
using Flamingo.Modeling.Weights;
using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Network;

/// <summary>Pre-norm self-attention and feed-forward, each with a residual connection, computed in sequence or in parallel.</summary>
internal sealed class DecoderLayer : IDisposable
{
    private readonly LanguageConfig _config;
    private readonly Norm _attentionNorm, _feedForwardNorm;
    private readonly Norm? _queryNorm, _keyNorm;
    private readonly Linear _queryKeyValue, _output;
    private readonly FeedForward _feedForward;

    public DecoderLayer(LanguageConfig config, WeightsReader weights, string name)
    {
        _config = config;
        var width = config.Width;
        _attentionNorm = new Norm(config.Norm, weights, $"{name}.attention_norm", width, config.NormEpsilon);
        _queryKeyValue = new Linear(weights, $"{name}.attention.query_key_value", width, width + (2 * config.KeyValueWidth));
        if (config.QueryKeyNorm == "full_width")
        {
            _queryNorm = new Norm(config.Norm, weights, $"{name}.attention.query_norm", width, config.NormEpsilon);
            _keyNorm = new Norm(config.Norm, weights, $"{name}.attention.key_norm", config.KeyValueWidth, config.NormEpsilon);
        }

        _output = new Linear(weights, $"{name}.attention.output", width, width);
        _feedForwardNorm = new Norm(config.Norm, weights, $"{name}.feed_forward_norm", width, config.NormEpsilon);
        _feedForward = new FeedForward(config.FeedForward, weights, $"{name}.feed_forward", width, config.FeedForwardWidth);
    }

    /// <param name="rotation">Rotation of queries and keys; null if positions are not rotary.</param>
    /// <param name="store">Keys and values of this layer. The method writes those of the new rows.</param>
    /// <param name="slopes">ALiBi slope of each head; null if positions are rotary.</param>
    public Tensor Forward(
        Tensor x, Rotation? rotation, (Tensor Keys, Tensor Values) store, AttentionRows rows, float[]? slopes, IBlockAttention attention)
    {                                                                                         // [rows, width]
        var attended = x.Plus(Attend(_attentionNorm.Forward(x), rotation, store, rows, slopes, attention));
        return attended.Plus(_feedForward.Forward(_feedForwardNorm.Forward(_config.ParallelResidual ? x : attended)));
    }

    /// <summary>All matrices, for products outside torch.</summary>
    public IEnumerable<Linear> Linears => [_queryKeyValue, _output, .. _feedForward.Linears];

    /// <summary>Adds the same computation for few rows.</summary>
    /// <param name="store">Addresses of this layer's keys and values.</param>
    public void AddTo(FewRowPlan plan, (nint Keys, nint Values) store, RowRotation? rotation, float[]? slopes)
    {
        var state = plan.State;
        plan.Add(new ProductPhase(state, _attentionNorm.ForRows(), state.X, _queryKeyValue, state.Joined));
        plan.Add(new TextHeadPhase(state, plan.Text, store, _queryNorm?.ForRows(), _keyNorm?.ForRows(), rotation));
        plan.Add(new AttentionPhase(state, plan.Text, store, slopes, ofText: true));
        plan.Add(new ResidualPhase(state, state.Attended, _output, state.X, state.Y));
        _feedForward.AddTo(plan, _feedForwardNorm, _config.ParallelResidual ? state.X : state.Y, state.Y, state.X);
    }

    public void Dispose()
    {
        foreach (
            var part in new IDisposable?[]
            {
                _attentionNorm, _feedForwardNorm, _queryNorm, _keyNorm, _queryKeyValue, _output, _feedForward
            }) part?.Dispose();
    }

    private Tensor Attend(
        Tensor x, Rotation? rotation, (Tensor Keys, Tensor Values) store, AttentionRows rows, float[]? slopes, IBlockAttention attention)
    {
        var parts = _queryKeyValue.Forward(x).split([_config.Width, _config.KeyValueWidth, _config.KeyValueWidth], -1);
        var query = _queryNorm?.Forward(parts[0]) ?? parts[0];                                // [rows, heads × head]
        var key = _keyNorm?.Forward(parts[1]) ?? parts[1];                                    // [rows, key and value heads × head]
        if (rotation is not null) (query, key) = (rotation.Rotate(query, _config.HeadWidth), rotation.Rotate(key, _config.HeadWidth));
        attention.Append(store.Keys, store.Values, key, parts[2], rows);
        return _output.Forward(attention.Forward(query, store.Keys, store.Values, rows, slopes));
    }
}
