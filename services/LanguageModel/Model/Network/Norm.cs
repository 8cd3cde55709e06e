using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Network.FewRows;
using Flamingo.Modeling.Layers;
using Flamingo.Modeling.Tensors;
using Flamingo.Modeling.Weights;
using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Network;

/// <summary>
/// Normalisation over the last dimension, of the kind that the checkpoint names: layer_norm (with an optional bias, as in MPT) or
/// rms_norm (Zhang and Sennrich 2019), whose mean square is computed in f32 for every dtype, as in LLaMA.
/// </summary>
public sealed class Norm : IDisposable
{
    private readonly LayerNorm? _layerNorm;
    private readonly Tensor? _scale; // of rms_norm only
    private readonly double _epsilon;

    public Norm(string kind, WeightsReader weights, string name, long width, double epsilon)
    {
        _epsilon = epsilon;
        switch (kind)
        {
            case "layer_norm": _layerNorm = new LayerNorm(weights, name, width, epsilon); break;
            case "rms_norm": _scale = weights.Take($"{name}.weight", width); break;
            default: throw new CheckpointException($"flamingo.json: the norm is '{kind}'; this build computes layer_norm or rms_norm.");
        }
    }

    /// <summary>The same computation for few rows, outside torch.</summary>
    internal RowNorm ForRows() => new(_layerNorm is null, _layerNorm?.Weight ?? _scale!, _layerNorm?.Bias, (float)_epsilon);

    public Tensor Forward(Tensor x) => _layerNorm?.Forward(x) ?? RootMeanSquare(x, _scale!); // [..., width]

    public void Dispose()
    {
        _layerNorm?.Dispose();
        _scale?.Dispose();
    }

    private Tensor RootMeanSquare(Tensor x, Tensor scale)
    {
        var wide = x.to(ScalarType.Float32);
        var square = wide.pow(Scalars.Of(2)).mean([-1], keepdim: true).add(Scalars.Of(_epsilon), Scalars.One);
        return (wide * square.rsqrt()).to(x.dtype) * scale;
    }
}
