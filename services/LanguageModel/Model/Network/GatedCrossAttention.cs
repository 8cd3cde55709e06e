using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Network.Attention;
using Flamingo.LanguageModel.Network.FewRows;
using Flamingo.Modeling.Layers;
using Flamingo.Modeling.Tensors;
using Flamingo.Modeling.Weights;
using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Network;

/// <summary>
/// GATED XATTN-DENSE of Flamingo (Alayrac et al. 2022, figure 4), as in OpenFlamingo 2.0.1 and IDEFICS. Text is normalised and
/// latents are not. A token attends only to the last picture before it. Rows before any picture get zero attention, but the gated
/// feed-forward is applied to every row. IDEFICS normalises queries and keys per head.
/// </summary>
public sealed class GatedCrossAttention : IDisposable
{
    private readonly CrossAttentionConfig _config;
    private readonly Norm _attentionNorm, _feedForwardNorm;
    private readonly Norm? _queryNorm, _keyNorm;
    private readonly Linear _query, _keyValue, _output;
    private readonly FeedForward _feedForward;
    private readonly Tensor _attentionGate, _feedForwardGate;

    public GatedCrossAttention(CrossAttentionConfig config, int width, WeightsReader weights, string name)
    {
        if (config.QueryKeyNorm is not ("none" or "per_head"))
            throw new CheckpointException(
                $"flamingo.json: cross_attention.query_key_norm is '{config.QueryKeyNorm}'; this build computes none or per_head.");
        _config = config;
        var (inner, gate) = (config.Heads * config.HeadWidth, config.VectorGates ? width : 1);
        _attentionNorm = new Norm(config.Norm, weights, $"{name}.attention_norm", width, config.LayerNormEpsilon);
        _query = new Linear(weights, $"{name}.attention.query", width, inner);
        _keyValue = new Linear(weights, $"{name}.attention.key_value", config.LatentWidth, 2 * inner);
        if (config.QueryKeyNorm == "per_head")
        {
            _queryNorm = new Norm(config.Norm, weights, $"{name}.attention.query_norm", config.HeadWidth, config.LayerNormEpsilon);
            _keyNorm = new Norm(config.Norm, weights, $"{name}.attention.key_norm", config.HeadWidth, config.LayerNormEpsilon);
        }

        _output = new Linear(weights, $"{name}.attention.output", inner, width);
        _attentionGate = Opened(weights.Take($"{name}.attention_gate", gate));
        _feedForwardNorm = new Norm(config.Norm, weights, $"{name}.feed_forward_norm", width, config.LayerNormEpsilon);
        _feedForward = new FeedForward(config.FeedForward, weights, $"{name}.feed_forward", width, config.FeedForwardWidth);
        _feedForwardGate = Opened(weights.Take($"{name}.feed_forward_gate", gate));
    }

    /// <summary>
    /// Computes a picture's keys and values and writes them into its slot, where every token that attends to the picture reads
    /// them.
    /// </summary>
    /// <param name="latents">[latents, latent width]</param>
    public void Project(Tensor latents, (Tensor Keys, Tensor Values) store, int slot)
    {
        var parts = _keyValue.Forward(latents).chunk(2, -1);
        store.Keys[slot].copy_(PerHead(parts[0], _keyNorm).transpose(0, 1));                  // [heads, latents, head]
        store.Values[slot].copy_(PerHead(parts[1], null).transpose(0, 1));
    }

    /// <param name="text">[rows, width]</param>
    /// <param name="block">Index of this block among the gated blocks.</param>
    public Tensor Forward(
        Tensor text, int block, (Tensor Keys, Tensor Values) store, AttentionRows rows, IBlockAttention attention,
        AttentionProbe? probe = null)
    {
        if (rows.Rows.Any(row => row.Length > 0)) text = Gated(text, Attend(text, block, store, rows, attention, probe), _attentionGate);
        return Gated(text, _feedForward.Forward(_feedForwardNorm.Forward(text)), _feedForwardGate);
    }

    /// <summary>The matrices that a step reads, for products outside torch.</summary>
    internal IEnumerable<Linear> Linears => [_query, _output, .. _feedForward.Linears];

    /// <summary>Adds the computation of <see cref="Forward"/> for few rows.</summary>
    /// <param name="store">Addresses of this block's keys and values.</param>
    internal void AddTo(FewRowPlan plan, (nint Keys, nint Values) store)
    {
        var state = plan.State;
        plan.Add(new PictureQueryPhase(state, _attentionNorm.ForRows(), _query));
        plan.Add(new PictureHeadPhase(state, plan.Pictures, _queryNorm?.ForRows()));
        plan.Add(new AttentionPhase(state, plan.Pictures, store, slopes: null, ofText: false));
        plan.Add(new ResidualPhase(
            state, state.Attended, _output, state.X, state.Y, FloatRows.Of(_attentionGate), ofPictures: true));
        _feedForward.AddTo(plan, _feedForwardNorm, state.Y, state.Y, state.X, FloatRows.Of(_feedForwardGate));
    }

    public void Dispose()
    {
        foreach (
            var part in new IDisposable?[]
            {
                _attentionNorm, _feedForwardNorm, _queryNorm, _keyNorm, _query, _keyValue, _output, _feedForward, _attentionGate,
                _feedForwardGate
            }) part?.Dispose();
    }

    // The gate is never trained here, so its tanh is computed once.
    private static Tensor Opened(Tensor gate)
    {
        using (gate) return gate.tanh().DetachFromDisposeScope();
    }

    // Computes text + added × gate. On the CPU it rounds twice, as the original implementation does; elsewhere it is one kernel
    // that rounds once.
    private static Tensor Gated(Tensor text, Tensor added, Tensor gate) =>
        text.device_type == TorchSharp.DeviceType.CPU ? text.Plus(added * gate) : text.addcmul(added, gate, Scalars.One);

    private Tensor Attend(
        Tensor text, int block, (Tensor Keys, Tensor Values) store, AttentionRows rows, IBlockAttention attention, AttentionProbe? probe)
    {
        var query = PerHead(_query.Forward(_attentionNorm.Forward(text)), _queryNorm).flatten(1); // [rows, heads × head]
        foreach (var row in probe?.Rows ?? [])
            if (rows.Rows[row].Length > 0 && probe!.Wants(row, block))
                probe.Collect(row, attention.Weights(query, store.Keys, rows, row, null));
        return _output.Forward(attention.Forward(query, store.Keys, store.Values, rows, null)); // [rows, width]
    }

    private Tensor PerHead(Tensor x, Norm? norm)                                              // [rows or latents, heads, head]
    {
        var heads = x.unflatten(1, [_config.Heads, _config.HeadWidth]);
        return norm?.Forward(heads) ?? heads;
    }
}
