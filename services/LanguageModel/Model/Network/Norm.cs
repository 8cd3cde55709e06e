using Flamingo.Checkpoints;
using Flamingo.Modeling;
using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Network;

/// <summary>
/// Normalisation over the last dimension, of the kind that the checkpoint names: layer_norm (its bias optional, as in MPT)
/// or rms_norm (Zhang and Sennrich 2019), whose mean square is taken in f32 whatever the dtype, as LLaMA has it.
/// </summary>
public sealed class Norm : IDisposable
{
    private readonly Tensor _weight;
    private readonly Tensor? _bias;
    private readonly double _epsilon;
    private readonly bool _rms;

    public Norm(string kind, WeightsReader weights, string name, long width, double epsilon)
    {
        _rms = kind == "rms_norm" || (kind == "layer_norm" ? false : throw new CheckpointException($"flamingo.json: the norm is '{kind}'; this build computes layer_norm or rms_norm."));
        _weight = weights.Take($"{name}.weight", width);
        if (!_rms) _bias = weights.TakeOptional($"{name}.bias", width);
        _epsilon = epsilon;
    }

    public Tensor Forward(Tensor x)                                                  // [..., width]
    {
        if (!_rms) return nn.functional.layer_norm(x, [_weight.shape[0]], _weight, _bias, _epsilon);
        var wide = x.to(ScalarType.Float32);
        return (wide * (wide.pow(2).mean([-1], keepdim: true) + _epsilon).rsqrt()).to(x.dtype) * _weight;
    }

    public void Dispose()
    {
        _weight.Dispose();
        _bias?.Dispose();
    }
}
