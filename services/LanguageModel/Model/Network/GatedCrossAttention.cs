using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Network.Attention;
using Flamingo.Modeling;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace Flamingo.LanguageModel.Network;

/// <summary>
/// GATED XATTN-DENSE of Flamingo (Alayrac et al. 2022, figure 4), as OpenFlamingo 2.0.1 has it: text is normed, latents
/// are not; a token sees its last preceding picture alone; rows before any picture get zero attention, while the gated
/// feed-forward runs for every row.
/// </summary>
public sealed class GatedCrossAttention : IDisposable
{
    private readonly CrossAttentionConfig _config;
    private readonly LayerNorm _attentionNorm, _feedForwardNorm;
    private readonly Linear _query, _keyValue, _output, _up, _down;
    private readonly Tensor _attentionGate, _feedForwardGate;

    public GatedCrossAttention(CrossAttentionConfig config, int width, WeightsReader weights, string name)
    {
        _config = config;
        var inner = config.Heads * config.HeadWidth;
        _attentionNorm = new LayerNorm(weights, $"{name}.attention_norm", width, config.LayerNormEpsilon);
        _query = new Linear(weights, $"{name}.attention.query", width, inner);
        _keyValue = new Linear(weights, $"{name}.attention.key_value", config.LatentWidth, 2 * inner);
        _output = new Linear(weights, $"{name}.attention.output", inner, width);
        _attentionGate = weights.Take($"{name}.attention_gate", 1);
        _feedForwardNorm = new LayerNorm(weights, $"{name}.feed_forward_norm", width, config.LayerNormEpsilon);
        _up = new Linear(weights, $"{name}.feed_forward.up", width, config.FeedForwardWidth);
        _down = new Linear(weights, $"{name}.feed_forward.down", config.FeedForwardWidth, width);
        _feedForwardGate = weights.Take($"{name}.feed_forward_gate", 1);
    }

    /// <summary>Writes a picture's keys and values into its slot: computed once, read by every token that sees the picture.</summary>
    /// <param name="latents">[latents, latent width]</param>
    public void Project(Tensor latents, (Tensor Keys, Tensor Values) store, int slot)
    {
        var parts = _keyValue.Forward(latents).chunk(2, -1);
        store.Keys[slot].copy_(Heads(parts[0]));
        store.Values[slot].copy_(Heads(parts[1]));
    }

    /// <param name="text">[rows, width]</param>
    /// <param name="block">Index of this block among the gated ones.</param>
    public Tensor Forward(Tensor text, int block, (Tensor Keys, Tensor Values) store, AttentionRows rows, IBlockAttention attention, AttentionProbe? probe = null)
    {
        if (rows.Rows.Any(row => row.Length > 0)) text = text + (Attend(text, block, store, rows, attention, probe) * _attentionGate.tanh());
        return text + (_down.Forward(F.gelu(_up.Forward(_feedForwardNorm.Forward(text)))) * _feedForwardGate.tanh());
    }

    public void Dispose()
    {
        foreach (var part in new IDisposable[] { _attentionNorm, _feedForwardNorm, _query, _keyValue, _output, _up, _down, _attentionGate, _feedForwardGate }) part.Dispose();
    }

    private Tensor Attend(Tensor text, int block, (Tensor Keys, Tensor Values) store, AttentionRows rows, IBlockAttention attention, AttentionProbe? probe)
    {
        var query = _query.Forward(_attentionNorm.Forward(text));                             // [rows, heads × head]
        foreach (var row in probe?.Rows ?? [])
            if (rows.Rows[row].Length > 0 && probe!.Wants(row, block)) probe.Collect(row, attention.Weights(query, store.Keys, rows, row, null));
        return _output.Forward(attention.Forward(query, store.Keys, store.Values, rows, null)); // [rows, width]
    }

    private Tensor Heads(Tensor x) => x.unflatten(1, [_config.Heads, _config.HeadWidth]).transpose(0, 1); // [heads, latents, head]
}
