using Flamingo.Modeling.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.Modeling.Layers;

/// <summary>y = x Wᵀ + b around loaded tensors: TorchSharp's own modules would initialise random weights first.</summary>
public sealed class Linear(WeightMatrix weight, Tensor? bias = null) : IDisposable
{
    /// <summary>Takes <c>name.weight</c> [outputs, inputs] and, where the checkpoint has it, <c>name.bias</c> [outputs].</summary>
    public Linear(WeightsReader weights, string name, long inputs, long outputs)
        : this(weights.TakeMatrix($"{name}.weight", outputs, inputs), weights.TakeOptional($"{name}.bias", outputs))
    {
    }

    public Tensor Forward(Tensor x) => weight.Multiply(x, bias);                     // [..., inputs] → [..., outputs]

    /// <summary>
    /// The same, and a row's result is the same bits whatever rows stand beside it: MKL's f32 products of 1, 2, 3, 5, 6, 7,
    /// 9, 10 or 11 rows differ in their last bits from those of any other number, so few rows are filled up to fours. On other devices than
    /// the CPU it is <see cref="Forward"/>.
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
