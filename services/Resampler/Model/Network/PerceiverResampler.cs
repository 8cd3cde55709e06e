using Flamingo.Checkpoints;
using Flamingo.Modeling.Layers;
using Flamingo.Modeling.Tensors;
using Flamingo.Modeling.Weights;
using static TorchSharp.torch;

namespace Flamingo.Resampler.Network;

/// <summary>
/// The perceiver resampler of Flamingo (Alayrac et al. 2022, section 2.1), in the forms of OpenFlamingo 2.0.1 and IDEFICS (which uses ReLU
/// and normalises queries and keys per head). A fixed number of learned latents attends to the patch features of all frames and to the
/// latents themselves. If the checkpoint has no resampler, features pass unchanged. The latents of a picture or clip are bit-identical in
/// batches of any size.
/// </summary>
public sealed class PerceiverResampler : IDisposable
{
    private readonly Tensor? _latents, _frameEmbeddings, _mediaTimeEmbeddings;
    private readonly (PerceiverAttention Attention, FeedForward FeedForward)[] _layers;
    private readonly LayerNorm? _norm;
    private readonly bool _classToken;

    /// <param name="config">Sizes and forms of the resampler.</param>
    /// <param name="weights">Its weights.</param>
    /// <param name="classToken">
    /// Whether the first feature of every frame is that of the class token. The returned attention does not include the class token.
    /// </param>
    public PerceiverResampler(ResamplerConfig config, WeightsReader weights, bool classToken = false)
    {
        _classToken = classToken;
        _layers = [.. Enumerable.Range(0, config.Layers)
            .Select(layer =>
                (new PerceiverAttention(config, weights, $"layers.{layer}.0"), new FeedForward(config, weights, $"layers.{layer}.1")))];
        if (config.PassesOn) return;
        _latents = weights.Take("latents", config.Latents, config.Width);
        if (config.FrameEmbeddings > 0) _frameEmbeddings = weights.Take("frame_embs", config.FrameEmbeddings, config.Width);
        if (config.MediaTimeEmbeddings > 0)
            _mediaTimeEmbeddings = weights.Take("media_time_embs", config.MediaTimeEmbeddings, 1, config.Width);
        _norm = new LayerNorm(weights, "norm", config.Width, config.LayerNormEpsilon);
    }

    /// <param name="features">[batch, media, frames, patches, width]</param>
    /// <returns>[batch, media, latents, width]</returns>
    public Tensor Forward(Tensor features) => Forward(features, includeAttention: false).Latents;

    /// <param name="features">[batch, media, frames, patches, width]</param>
    /// <param name="includeAttention">Whether to return the attention of the last layer. It does not change the latents.</param>
    /// <returns>
    /// Latents, [batch, media, latents, width], and, if requested, the attention of each latent over the patches without the class token,
    /// [batch, media, latents, frames × patches]. Each row is scaled to the sum 1; the row of a latent that attends to the class token
    /// only is zero.
    /// </returns>
    public (Tensor Latents, Tensor? Attention) Forward(Tensor features, bool includeAttention)
    {
        var (batch, media, frames, width) = (features.shape[0], features.shape[1], features.shape[2], features.shape[4]);
        if (_latents is null) return (features.flatten(2, 3), includeAttention ? OverPatches(PassesOn(features), frames) : null);
        var x = features;
        if (_frameEmbeddings is not null) x = x.Plus(_frameEmbeddings.slice(0, 0, frames, 1).view(1, 1, frames, 1, width));
        x = x.reshape(batch, media, -1, width);                                               // [batch, media, frames × patches, width]
        if (_mediaTimeEmbeddings is not null) x = x.Plus(_mediaTimeEmbeddings.slice(0, 0, media, 1)); // + [media, 1, width]
        var latents = _latents.expand(batch, media, -1, -1);                                  // [batch, media, latents, width]
        Tensor? read = null;
        foreach (var (layer, (attention, feedForward)) in _layers.Index())
        {
            if (includeAttention && layer == _layers.Length - 1) read = OverPatches(attention.MediaWeights(x, latents), frames);
            latents = attention.Forward(x, latents).Plus(latents);
            latents = feedForward.Forward(latents).Plus(latents);
        }

        return (_norm!.Forward(latents), read);
    }

    public void Dispose()
    {
        _latents?.Dispose();
        _frameEmbeddings?.Dispose();
        _mediaTimeEmbeddings?.Dispose();
        _norm?.Dispose();
        foreach (var (attention, feedForward) in _layers)
        {
            attention.Dispose();
            feedForward.Dispose();
        }
    }

    /// <summary>Removes the class token from attention weights and scales each row to the sum 1.</summary>
    /// <param name="read">Positive weights, [batch, media, latents, frames × features].</param>
    /// <param name="frames">Number of frames.</param>
    private Tensor OverPatches(Tensor read, long frames)
    {
        // [batch, media, latents, frames × patches]
        var patches = read.unflatten(3, [frames, -1]).slice(4, _classToken ? 1 : 0, long.MaxValue, 1).flatten(3, 4);
        return patches / patches.sum(-1, keepdim: true).clamp_min(Scalars.Of(1e-30));
    }

    // Without a resampler, each latent attends to exactly one feature.
    private static Tensor PassesOn(Tensor features)
    {
        var patches = features.shape[2] * features.shape[3];
        return eye(patches, device: features.device).expand(features.shape[0], features.shape[1], patches, patches);
    }
}

/// <summary>
/// Attention of the latents. The normalised latents are the queries; the normalised media features, followed by the normalised latents,
/// are the keys and values. The caller adds the residual, which is the latents before normalisation.
/// </summary>
internal sealed class PerceiverAttention(ResamplerConfig config, WeightsReader weights, string name) : IDisposable
{
    private readonly LayerNorm _normMedia = new(weights, $"{name}.norm_media", config.Width, config.LayerNormEpsilon);
    private readonly LayerNorm _normLatents = new(weights, $"{name}.norm_latents", config.Width, config.LayerNormEpsilon);
    private readonly Linear _query = new(weights, $"{name}.to_q", config.Width, config.Heads * config.HeadWidth);
    private readonly Linear _keyValue = new(weights, $"{name}.to_kv", config.Width, 2 * config.Heads * config.HeadWidth);
    private readonly Linear _output = new(weights, $"{name}.to_out", config.Heads * config.HeadWidth, config.Width);
    private readonly LayerNorm? _normQuery =
        config.QueryKeyNorm == "per_head" ? new(weights, $"{name}.norm_q", config.HeadWidth, config.LayerNormEpsilon) : null;
    private readonly LayerNorm? _normKeys =
        config.QueryKeyNorm == "per_head" ? new(weights, $"{name}.norm_k", config.HeadWidth, config.LayerNormEpsilon) : null;

    public Tensor Forward(Tensor media, Tensor latents)
    {
        latents = _normLatents.Forward(latents);
        var keyValue = _keyValue.ForwardTiled(cat([_normMedia.Forward(media), latents], -2)).chunk(2, -1);
        // [batch × media, latents, heads × head]
        var mixed = ItemByItem.Attend(Heads(_query.ForwardTiled(latents), _normQuery), Heads(keyValue[0], _normKeys), Heads(keyValue[1]));
        return _output.ForwardTiled(mixed).view(latents.shape);                              // [batch, media, latents, width]
    }

    /// <summary>
    /// Computes the attention weights of each latent over the media features as the mean over heads, without the weights of the latents.
    /// <see cref="Forward"/> uses fused attention, which does not return weights, so they are computed again here.
    /// </summary>
    /// <returns>[batch, media, latents, features]</returns>
    public Tensor MediaWeights(Tensor media, Tensor latents)
    {
        latents = _normLatents.Forward(latents);
        var query = Heads(_query.ForwardTiled(latents), _normQuery);
        var keys = Heads(_keyValue.ForwardTiled(cat([_normMedia.Forward(media), latents], -2)).chunk(2, -1)[0], _normKeys);
        var scores = matmul(query, keys.transpose(-2, -1)).mul(Scalars.Of(1 / Math.Sqrt(config.HeadWidth)));
        // [batch × media, heads, latents, patches + latents]
        var weights = scores.softmax(-1);
        return weights.mean([1]).slice(-1, 0, media.shape[^2], 1).reshape(media.shape[0], media.shape[1], latents.shape[^2], -1);
    }

    public void Dispose()
    {
        foreach (var part in new IDisposable?[] { _normMedia, _normLatents, _query, _keyValue, _output, _normQuery, _normKeys })
            part?.Dispose();
    }

    private Tensor Heads(Tensor x, LayerNorm? norm = null)
    {
        var heads = x.flatten(0, 1).unflatten(2, [config.Heads, config.HeadWidth]);          // [batch × media, rows, heads, head]
        return (norm?.Forward(heads) ?? heads).transpose(1, 2);
    }
}

/// <summary>
/// The feed-forward: LayerNorm, a linear layer that widens, an activation and a linear layer that narrows, without biases.
/// </summary>
internal sealed class FeedForward(ResamplerConfig config, WeightsReader weights, string name) : IDisposable
{
    private readonly LayerNorm _norm = new(weights, $"{name}.0", config.Width, config.LayerNormEpsilon);
    private readonly Linear _up = new(weights, $"{name}.1", config.Width, config.FeedForwardWidth);
    private readonly Linear _down = new(weights, $"{name}.3", config.FeedForwardWidth, config.Width);

    public Tensor Forward(Tensor x)
    {
        var hidden = _up.ForwardTiled(_norm.Forward(x));
        return _down.ForwardTiled(config.Activation == "relu" ? hidden.relu_() : ItemByItem.Gelu(hidden));
    }

    public void Dispose()
    {
        _norm.Dispose();
        _up.Dispose();
        _down.Dispose();
    }
}
