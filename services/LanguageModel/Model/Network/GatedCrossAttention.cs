using Flamingo.Checkpoints;
using Flamingo.Modeling;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace Flamingo.LanguageModel.Network;

/// <summary>A picture's keys and values for one gated block, each [heads, latents, head]: projected once, read by every token after it.</summary>
public sealed record PictureKeyValues(Tensor Keys, Tensor Values) : IDisposable
{
    public void Dispose()
    {
        Keys.Dispose();
        Values.Dispose();
    }
}

/// <summary>Rows [Begin, End) of the text that see one picture.</summary>
public readonly record struct PictureSpan(int Begin, int End, int Picture);

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

    /// <param name="latents">[latents, latent width]</param>
    /// <returns>Detached from any dispose scope; the caller owns it.</returns>
    public PictureKeyValues Project(Tensor latents)
    {
        var parts = _keyValue.Forward(latents).chunk(2, -1);
        return new PictureKeyValues(Heads(parts[0]).contiguous().DetachFromDisposeScope(), Heads(parts[1]).contiguous().DetachFromDisposeScope());
    }

    /// <param name="text">[tokens, width]</param>
    /// <param name="spans">Rows that see a picture; rows in none see none.</param>
    public Tensor Forward(Tensor text, IReadOnlyList<PictureSpan> spans, IReadOnlyList<PictureKeyValues> pictures)
    {
        if (spans.Count > 0) text = text + (Attend(text, spans, pictures) * _attentionGate.tanh());
        return text + (_down.Forward(F.gelu(_up.Forward(_feedForwardNorm.Forward(text)))) * _feedForwardGate.tanh());
    }

    public void Dispose()
    {
        foreach (var part in new IDisposable[] { _attentionNorm, _feedForwardNorm, _query, _keyValue, _output, _up, _down, _attentionGate, _feedForwardGate }) part.Dispose();
    }

    private Tensor Attend(Tensor text, IReadOnlyList<PictureSpan> spans, IReadOnlyList<PictureKeyValues> pictures)
    {
        var query = Heads(_query.Forward(_attentionNorm.Forward(text)));                      // [heads, tokens, head]
        var mixed = zeros_like(query);
        foreach (var (begin, end, picture) in spans)
        {
            var (keys, values) = pictures[picture];
            mixed.slice(1, begin, end, 1).copy_(F.scaled_dot_product_attention(query.slice(1, begin, end, 1), keys, values));
        }

        return _output.Forward(mixed.transpose(0, 1).flatten(1));                             // [tokens, width]
    }

    private Tensor Heads(Tensor x) => x.unflatten(1, [_config.Heads, _config.HeadWidth]).transpose(0, 1);
}
