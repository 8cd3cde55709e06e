using static TorchSharp.torch;

namespace Flamingo.Modeling;

/// <summary>y = x Wᵀ + b around loaded tensors: TorchSharp's own modules would initialise random weights first.</summary>
public sealed class Linear(Tensor weight, Tensor? bias = null) : IDisposable
{
    /// <summary>Takes <c>name.weight</c> [outputs, inputs] and, where the checkpoint has it, <c>name.bias</c> [outputs].</summary>
    public Linear(WeightsReader weights, string name, long inputs, long outputs)
        : this(weights.Take($"{name}.weight", outputs, inputs), weights.TakeOptional($"{name}.bias", outputs))
    {
    }

    public Tensor Forward(Tensor x) => nn.functional.linear(x, weight, bias);        // [..., inputs] → [..., outputs]

    public void Dispose()
    {
        weight.Dispose();
        bias?.Dispose();
    }
}

/// <summary>Layer normalisation over the last dimension; the bias is optional, as in MPT.</summary>
public sealed class LayerNorm(WeightsReader weights, string name, long width, double epsilon) : IDisposable
{
    private readonly Tensor _weight = weights.Take($"{name}.weight", width);
    private readonly Tensor? _bias = weights.TakeOptional($"{name}.bias", width);
    private readonly long[] _shape = [width];

    public Tensor Forward(Tensor x) => nn.functional.layer_norm(x, _shape, _weight, _bias, epsilon);

    public void Dispose()
    {
        _weight.Dispose();
        _bias?.Dispose();
    }
}
