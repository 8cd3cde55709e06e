using Flamingo.Checkpoints;
using Flamingo.Modeling.Layers;
using Flamingo.Modeling.Tensors;
using Flamingo.Modeling.Weights;
using static TorchSharp.torch;

namespace Flamingo.VisionEncoder.Network;

/// <summary>
/// CLIP's vision tower (Radford et al. 2021) as open_clip 2.20 runs it for OpenFlamingo. Features are the patch tokens of the last block,
/// without ln_post and, for OpenFlamingo, without the class token. The pooled embedding is the class token after ln_post and the
/// projection. The results for a picture are bit-identical in batches of any size.
/// </summary>
public sealed class VisionTransformer : IDisposable
{
    private readonly VisionConfig _config;
    private readonly Tensor _classEmbedding, _positions;
    private readonly Linear _patchEmbedding;
    private readonly LayerNorm _normBefore;
    private readonly VisionBlock[] _blocks;
    private readonly LayerNorm? _normAfter;
    private readonly Linear? _projection;

    public VisionTransformer(VisionConfig config, WeightsReader weights)
    {
        _config = config;
        var (width, patch) = (config.Width, config.PatchSize);
        var side = config.ImageSize / patch;
        _classEmbedding = weights.Take("class_embedding", width);
        _positions = weights.Take("positional_embedding", 1 + (side * side), width);
        // A convolution whose stride equals its kernel size is a linear layer over patches. Unlike torch's convolution, this linear layer
        // gives bit-identical results for a picture in any batch.
        using var kernels = weights.Take("conv1.weight", width, 3, patch, patch);
        _patchEmbedding = new Linear(new WeightMatrix(kernels.flatten(1).DetachFromDisposeScope()));
        _normBefore = new LayerNorm(weights, "ln_pre", width, config.LayerNormEpsilon);
        _blocks = [.. Enumerable.Range(0, config.Layers)
            .Select(layer => new VisionBlock(config, weights, $"transformer.resblocks.{layer}"))];
        if (config.PooledWidth == 0) return;
        _normAfter = new LayerNorm(weights, "ln_post", width, config.LayerNormEpsilon);
        using var projection = weights.Take("proj", width, config.PooledWidth);
        _projection = new Linear(new WeightMatrix(projection.t().contiguous().DetachFromDisposeScope()));
    }

    /// <param name="pixels">Normalised pixels, [batch, 3, size, size].</param>
    /// <returns>
    /// Features, [batch, patches, width], and pooled embeddings, [batch, pooled width]; the latter are null if the checkpoint has no
    /// projection.
    /// </returns>
    public (Tensor Features, Tensor? Pooled) Forward(Tensor pixels)
    {
        var x = _patchEmbedding.ForwardTiled(Patches(pixels));                                      // [batch, patches, width]
        x = cat([_classEmbedding.expand(x.shape[0], 1, -1), x], 1).Plus(_positions);                    // [batch, 1 + patches, width]
        x = _normBefore.Forward(x);
        foreach (var block in _blocks)
        {
            // The temporary tensors of a layer are freed here, so that the next layer reuses their memory instead of allocating more.
            using var scope = NewDisposeScope();
            x = block.Forward(x).MoveToOuterDisposeScope();
        }

        return (_config.ClassTokenInFeatures ? x : x.slice(1, 1, x.shape[1], 1),
            _projection?.ForwardTiled(_normAfter!.Forward(x.select(1, 0))));
    }

    public void Dispose()
    {
        foreach (var part in new IDisposable?[] { _classEmbedding, _positions, _patchEmbedding, _projection, _normBefore, _normAfter })
            part?.Dispose();
        foreach (var block in _blocks) block.Dispose();
    }

    private Tensor Patches(Tensor pixels)
    {
        var (batch, patch, side) = (pixels.shape[0], _config.PatchSize, _config.ImageSize / _config.PatchSize);
        // Pixels that do not fill a patch at the right and bottom edges are ignored.
        var whole = pixels.slice(2, 0, side * patch, 1).slice(3, 0, side * patch, 1);
        return whole.reshape(batch, 3, side, patch, side, patch).permute(0, 2, 4, 1, 3, 5).reshape(batch, side * side, 3 * patch * patch);
    }
}

/// <summary>A transformer block: attention and feed-forward, each with a LayerNorm before it and a residual connection.</summary>
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
        _queryKeyValue = new Linear(weights.TakeMatrix($"{name}.attn.in_proj_weight", 3 * width, width),
            weights.Take($"{name}.attn.in_proj_bias", 3 * width));
        _output = new Linear(weights, $"{name}.attn.out_proj", width, width);
        _norm2 = new LayerNorm(weights, $"{name}.ln_2", width, config.LayerNormEpsilon);
        _up = new Linear(weights, $"{name}.mlp.c_fc", width, config.FeedForwardWidth);
        _down = new Linear(weights, $"{name}.mlp.c_proj", config.FeedForwardWidth, width);
    }

    public Tensor Forward(Tensor x)                                                  // [batch, tokens, width]
    {
        x = x.Plus(Attend(_norm1.Forward(x)));
        var hidden = _up.ForwardTiled(_norm2.Forward(x));
        return x.Plus(_down.ForwardTiled(_config.Activation == "quick_gelu" ? ItemByItem.QuickGelu(hidden) : ItemByItem.Gelu(hidden)));
    }

    public void Dispose()
    {
        foreach (var part in new IDisposable[] { _norm1, _norm2, _queryKeyValue, _output, _up, _down }) part.Dispose();
    }

    private Tensor Attend(Tensor x)
    {
        var (batch, tokens) = (x.shape[0], x.shape[1]);
        // [3, batch, heads, tokens, head]
        var parts = _queryKeyValue.ForwardTiled(x).view(batch, tokens, 3, _config.Heads, -1).permute(2, 0, 3, 1, 4);
        return _output.ForwardTiled(ItemByItem.Attend(parts[0], parts[1], parts[2]));
    }
}
