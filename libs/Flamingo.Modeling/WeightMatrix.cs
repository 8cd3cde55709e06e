using static TorchSharp.torch;

namespace Flamingo.Modeling;

/// <summary>How the matrices of linear layers are held; norms, embeddings and biases are always held in the compute dtype.</summary>
public enum WeightStorage
{
    /// <summary>In the compute dtype.</summary>
    Native,

    /// <summary>As int8 with one f32 scale per output channel, expanded where it is used.</summary>
    Int8,
}

/// <summary>
/// The matrix of a linear layer as it is held: in the compute dtype, or as int8 with one scale per output channel.
/// Int8 is symmetric and rounded to nearest: channel = scale × integers, scale = largest magnitude / 127, so a weight is off
/// by half a scale at most. The product widens some channels at a time, integers as they are, which every compute dtype holds
/// exactly, and scales the sums: so many as stay in a core's cache, whatever rows come, so that a row's result is the same bits in any company.
/// </summary>
/// <param name="values">[outputs, inputs], int8 where there are scales.</param>
/// <param name="scales">f32 [outputs]</param>
public sealed class WeightMatrix(Tensor values, Tensor? scales = null) : IDisposable
{
    private const int Steps = 127;
    private const long ExpandedElements = 1 << 20;
    private const long QuantizedElements = 1 << 22;

    public static WeightMatrix Quantize(Tensor weight, Device device)
    {
        var (outputs, inputs) = (weight.shape[0], weight.shape[1]);
        var (values, scales) = (empty([outputs, inputs], ScalarType.Int8).DetachFromDisposeScope(), empty([outputs], ScalarType.Float32).DetachFromDisposeScope());
        var step = Math.Max(1, QuantizedElements / Math.Max(1, inputs));             // what is held wide at once
        for (var first = 0L; first < outputs; first += step)
        {
            using var scope = NewDisposeScope();
            var last = Math.Min(outputs, first + step);
            var wide = weight.slice(0, first, last, 1).to(ScalarType.Float32);
            var scale = wide.abs().amax([1]) / Steps;
            scales.slice(0, first, last, 1).copy_(scale);
            values.slice(0, first, last, 1).copy_((wide / where(scale.eq(0), ones_like(scale), scale).unsqueeze(1)).round_().clamp_(-Steps, Steps));
        }

        return new WeightMatrix(To(values, device), To(scales, device));
    }

    /// <summary>Bytes held.</summary>
    public long Bytes => (values.numel() * values.ElementSize) + (scales is null ? 0 : scales.numel() * sizeof(float));

    /// <summary>x Wᵀ + b</summary>
    /// <param name="x">[..., inputs]</param>
    /// <param name="bias">[outputs]</param>
    /// <returns>[..., outputs], in the dtype of x.</returns>
    public Tensor Multiply(Tensor x, Tensor? bias = null)
    {
        if (scales is null) return nn.functional.linear(x, values, bias);
        var (outputs, inputs, shape) = (values.shape[0], values.shape[1], x.shape);
        var results = empty([.. shape[..^1], outputs], x.dtype, x.device);
        var step = Math.Max(16, ExpandedElements / inputs / 16 * 16);
        using var scope = NewDisposeScope();
        var expanded = empty([Math.Min(step, outputs), inputs], x.dtype, x.device);
        for (var first = 0L; first < outputs; first += step)
        {
            using var some = NewDisposeScope();
            var count = Math.Min(step, outputs - first);
            var part = expanded.slice(0, 0, count, 1);
            part.copy_(values.slice(0, first, first + count, 1));
            var sums = nn.functional.linear(x, part) * scales.slice(0, first, first + count, 1); // [..., some outputs], f32
            if (bias is not null) sums.add_(bias.slice(0, first, first + count, 1));
            results.slice(-1, first, first + count, 1).copy_(sums);
        }

        return results;
    }

    /// <summary>What it stands for, f32 [outputs, inputs].</summary>
    public Tensor Expand() => scales is null ? values.to(ScalarType.Float32) : values.to(ScalarType.Float32) * scales.unsqueeze(1);

    public void Dispose()
    {
        values.Dispose();
        scales?.Dispose();
    }

    private static Tensor To(Tensor tensor, Device device)
    {
        if (device.type == TorchSharp.DeviceType.CPU) return tensor;
        var moved = tensor.to(device).DetachFromDisposeScope();
        tensor.Dispose();
        return moved;
    }
}
