using Flamingo.Modeling.Weights;
using static TorchSharp.torch;

namespace Flamingo.Modeling.Layers;

/// <summary>Layer normalisation over the last dimension; the bias is optional, as in MPT.</summary>
public sealed class LayerNorm(WeightsReader weights, string name, long width, double epsilon) : IDisposable
{
    private readonly Tensor _weight = weights.Take($"{name}.weight", width);
    private readonly Tensor? _bias = weights.TakeOptional($"{name}.bias", width);
    private readonly long[] _shape = [width];

    /// <summary>[width]. It belongs to the layer.</summary>
    public Tensor Weight => _weight;

    /// <summary>[width]; null if the layer has none. It belongs to the layer.</summary>
    public Tensor? Bias => _bias;

    public Tensor Forward(Tensor x) => nn.functional.layer_norm(x, _shape, _weight, _bias, epsilon);

    public void Dispose()
    {
        _weight.Dispose();
        _bias?.Dispose();
    }
}
