using Flamingo.Checkpoints;
using Flamingo.Modeling;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace Flamingo.VisionEncoder.Network;

/// <summary>
/// CLIP's vision tower as open_clip 2.20 runs it for OpenFlamingo (Radford et al. 2021): features are the patch tokens
/// of the last block, without ln_post and, for OpenFlamingo, without the class token. Pooled is the class token
/// through ln_post and the projection.
/// </summary>
public sealed class VisionTransformer : IDisposable
{
    private readonly VisionConfig _config;
    private readonly Tensor _classEmbedding, _positions, _patchEmbedding;
    private readonly LayerNorm _normBefore;
    private readonly VisionBlock[] _blocks;
    private readonly LayerNorm? _normAfter;
    private readonly Tensor? _projection;

    public VisionTransformer(VisionConfig config, WeightsReader weights)
    {
        _config = config;
        var (width, patch) = (config.Width, config.PatchSize);
        var side = config.ImageSize / patch;
        _classEmbedding = weights.Take("class_embedding", width);
        _positions = weights.Take("positional_embedding", 1 + (side * side), width);
        _patchEmbedding = weights.Take("conv1.weight", width, 3, patch, patch);
        _normBefore = new LayerNorm(weights, "ln_pre", width, config.LayerNormEpsilon);
        _blocks = [.. Enumerable.Range(0, config.Layers).Select(layer => new VisionBlock(config, weights, $"transformer.resblocks.{layer}"))];
        if (config.PooledWidth == 0) return;
        _normAfter = new LayerNorm(weights, "ln_post", width, config.LayerNormEpsilon);
        _projection = weights.Take("proj", width, config.PooledWidth);
    }

    /// <param name="pixels">Normalised [batch, 3, size, size].</param>
    /// <returns>Features [batch, patches, width] and pooled [batch, pooled width] (null where the checkpoint has no projection).</returns>
    public (Tensor Features, Tensor? Pooled) Forward(Tensor pixels)
    {
        var x = F.conv2d(pixels, _patchEmbedding, strides: [_config.PatchSize, _config.PatchSize]); // [batch, width, side, side]
        x = x.flatten(2).transpose(1, 2);                                                           // [batch, patches, width]
        x = cat([_classEmbedding.expand(x.shape[0], 1, -1), x], 1) + _positions;                    // [batch, 1 + patches, width]
        x = _normBefore.Forward(x);
        foreach (var block in _blocks)
        {
            using var scope = NewDisposeScope(); // a layer's temporary tensors are reused by the next, instead of gigabytes fresh from the system
            x = block.Forward(x).MoveToOuterDisposeScope();
        }

        var pooled = _projection is null ? null : _normAfter!.Forward(x.select(1, 0)).matmul(_projection);
        return (_config.ClassTokenInFeatures ? x : x.slice(1, 1, x.shape[1], 1), pooled);
    }

    public void Dispose()
    {
        foreach (var tensor in new[] { _classEmbedding, _positions, _patchEmbedding, _projection }) tensor?.Dispose();
        _normBefore.Dispose();
        _normAfter?.Dispose();
        foreach (var block in _blocks) block.Dispose();
    }
}

/// <summary>Pre-norm attention and feed-forward, each with a residual.</summary>
internal sealed class VisionBlock : IDisposable
{
    private readonly VisionConfig _config;
    private readonly LayerNorm _norm1, _norm2;
    private readonly Linear _queryKeyValue, _output, _up, _down;

    public VisionBlock(VisionConfig config, WeightsReader weights, string name)
    {
        _config = config;
        var width = config.Width;
        _norm1 = new LayerNorm(weights, $"{name}.ln_1", width, config.LayerNormEpsilon);
        _queryKeyValue = new Linear(weights.Take($"{name}.attn.in_proj_weight", 3 * width, width), weights.Take($"{name}.attn.in_proj_bias", 3 * width));
        _output = new Linear(weights, $"{name}.attn.out_proj", width, width);
        _norm2 = new LayerNorm(weights, $"{name}.ln_2", width, config.LayerNormEpsilon);
        _up = new Linear(weights, $"{name}.mlp.c_fc", width, config.FeedForwardWidth);
        _down = new Linear(weights, $"{name}.mlp.c_proj", config.FeedForwardWidth, width);
    }

    public Tensor Forward(Tensor x)                                                  // [batch, tokens, width]
    {
        x = x + Attend(_norm1.Forward(x));
        var hidden = _up.Forward(_norm2.Forward(x));
        return x + _down.Forward(_config.Activation == "quick_gelu" ? (hidden * 1.702).sigmoid_().mul_(hidden) : F.gelu(hidden));
    }

    public void Dispose()
    {
        foreach (var part in new IDisposable[] { _norm1, _norm2, _queryKeyValue, _output, _up, _down }) part.Dispose();
    }

    private Tensor Attend(Tensor x)
    {
        var (batch, tokens) = (x.shape[0], x.shape[1]);
        var parts = _queryKeyValue.Forward(x).view(batch, tokens, 3, _config.Heads, -1).permute(2, 0, 3, 1, 4); // [3, batch, heads, tokens, head]
        var mixed = F.scaled_dot_product_attention(parts[0], parts[1], parts[2]);
        return _output.Forward(mixed.transpose(1, 2).reshape(batch, tokens, -1));
    }
}
