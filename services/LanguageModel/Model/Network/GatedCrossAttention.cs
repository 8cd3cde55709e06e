using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Network.Attention;
using Flamingo.Modeling.Layers;
using Flamingo.Modeling.Tensors;
using Flamingo.Modeling.Weights;
using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Network;

/// <summary>
/// GATED XATTN-DENSE of Flamingo (Alayrac et al. 2022, figure 4), as OpenFlamingo 2.0.1 and IDEFICS have it: text is normed,
/// latents are not; a token sees its last preceding picture alone; rows before any picture get zero attention, while the
/// gated feed-forward runs for every row. IDEFICS norms queries and keys per head.
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

    /// <summary>Writes a picture's keys and values into its slot: computed once, read by every token that sees the picture.</summary>
    /// <param name="latents">[latents, latent width]</param>
    public void Project(Tensor latents, (Tensor Keys, Tensor Values) store, int slot)
    {
        var parts = _keyValue.Forward(latents).chunk(2, -1);
        store.Keys[slot].copy_(PerHead(parts[0], _keyNorm).transpose(0, 1));                  // [heads, latents, head]
        store.Values[slot].copy_(PerHead(parts[1], null).transpose(0, 1));
    }

    /// <param name="text">[rows, width]</param>
    /// <param name="block">Index of this block among the gated ones.</param>
    public Tensor Forward(
        Tensor text, int block, (Tensor Keys, Tensor Values) store, AttentionRows rows, IBlockAttention attention,
        AttentionProbe? probe = null)
    {
        if (rows.Rows.Any(row => row.Length > 0)) text = Gated(text, Attend(text, block, store, rows, attention, probe), _attentionGate);
        return Gated(text, _feedForward.Forward(_feedForwardNorm.Forward(text)), _feedForwardGate);
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

    // tanh of a gate that is never trained here is taken once
    private static Tensor Opened(Tensor gate)
    {
        using (gate) return gate.tanh().DetachFromDisposeScope();
    }

    // text + added × gate: rounded twice on the CPU, as the original does it there; elsewhere one launch, rounded once
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
