using Flamingo.Modeling.Kernels;
using Flamingo.Modeling.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.Modeling.Layers;

/// <summary>
/// Linear layer y = x Wᵀ + b with loaded tensors. TorchSharp's own modules are not used, because they first initialise random
/// weights.
/// </summary>
public sealed class Linear(WeightMatrix weight, Tensor? bias = null) : IDisposable
{
    /// <summary>Reads <c>name.weight</c> [outputs, inputs] and, if the checkpoint has it, <c>name.bias</c> [outputs].</summary>
    public Linear(WeightsReader weights, string name, long inputs, long outputs)
        : this(weights.TakeMatrix($"{name}.weight", outputs, inputs), weights.TakeOptional($"{name}.bias", outputs))
    {
    }

    /// <inheritdoc cref="WeightMatrix.Memory"/>
    public MatrixMemory? Memory() => weight.Memory();

    /// <summary>[outputs]; null if the layer has none. It belongs to the layer.</summary>
    public Tensor? Bias => bias;

    public Tensor Forward(Tensor x) => weight.Multiply(x, bias);                     // [..., inputs] → [..., outputs]

    /// <summary>
    /// Computes the same, but such that a row's result is bit for bit the same whatever the other rows are. MKL's f32 products of
    /// 1, 2, 3, 5, 6, 7, 9, 10 or 11 rows differ in their last bits from those of any other number of rows, so fewer than 12 rows
    /// are padded to a multiple of four. On devices other than the CPU it is the same as <see cref="Forward"/>.
    /// </summary>
    public Tensor ForwardTiled(Tensor x)
    {
        if (x.device_type != DeviceType.CPU) return Forward(x);
        var shape = x.shape;
        var rows = x.reshape(-1, shape[^1]);
        var count = rows.shape[0];
        if (count < 12 && count % 4 != 0) rows = nn.functional.pad(rows, [0, 0, 0, 4 - (count % 4)]);
        var results = weight.Multiply(rows, bias, steady: true);
        return (results.shape[0] == count ? results : results.slice(0, 0, count, 1)).view([.. shape[..^1], results.shape[1]]);
    }

    public void Dispose()
    {
        weight.Dispose();
        bias?.Dispose();
    }
}
