using Flamingo.Modeling.Kernels;
using Flamingo.Modeling.Tensors;
using static TorchSharp.torch;

namespace Flamingo.Modeling.Weights;

/// <summary>
/// How the matrices of linear layers are held in memory. Norms, embeddings and biases are always held in the compute dtype.
/// </summary>
public enum WeightStorage
{
    /// <summary>In the compute dtype.</summary>
    Native,

    /// <summary>As int8 with one f32 scale per output channel, converted when it is used.</summary>
    Int8,
}

/// <summary>
/// The matrix of a linear layer, held in the compute dtype, or as int8 with one scale per output channel. Int8 is symmetric and
/// rounded to nearest: channel = scale × integers, scale = largest magnitude / 127, so the error of a weight is at most half a
/// scale. On the CPU, <see cref="CpuProduct"/> reads the integers directly: in float32 always, so that a row's result is bit for
/// bit the same whatever the other rows are, and in bfloat16 for few rows. In all other cases of int8, some channels at a time
/// are converted to the compute dtype, which represents the integers exactly, and the sums are scaled. <see cref="CpuProduct"/>
/// also computes few rows with native bfloat16 weights on the CPU; torch computes everything else.
/// </summary>
public sealed class WeightMatrix : IDisposable
{
    // Number of int8 weights that are converted at a time: on the CPU as many as fit into its cache, on a GPU more, because each
    // part needs several kernel launches.
    private const long ExpandedElements = 1 << 20, ExpandedElementsOfDevice = 1 << 26;

    // From this number of rows on, torch's bfloat16 products are faster than CpuProduct, including the conversion (measured at
    // 2048 × 8192).
    private const long ManyRows = 12;

    // Up to this number of rows, CpuProduct takes 0.65 to 0.8 of torch's time for bf16 weights.
    private const long FewRows = 4;

    private readonly Tensor _values;
    private readonly Tensor? _scales;
    private readonly ComputeTeam _team;

    /// <param name="values">Weights [outputs, inputs], in the compute dtype.</param>
    /// <param name="team">Computes products; the calling thread alone if null.</param>
    public WeightMatrix(Tensor values, ComputeTeam? team = null)
        : this(values, null, team ?? ComputeTeam.Alone)
    {
    }

    private WeightMatrix(Tensor values, Tensor? scales, ComputeTeam team) => (_values, _scales, _team) = (values, scales, team);

    /// <param name="weight">[outputs, inputs] on the CPU, contiguous, f32, bf16 or f16.</param>
    /// <param name="team">Computes products; the calling thread alone if null.</param>
    public static WeightMatrix Quantize(Tensor weight, Device device, ComputeTeam? team = null)
    {
        var (outputs, inputs) = (weight.shape[0], weight.shape[1]);
        using var memory = empty([outputs * inputs + CpuProduct.Slack], ScalarType.Int8, CPU); // the view keeps the memory alive
        var values = memory.as_strided([outputs, inputs], [inputs, 1]).DetachFromDisposeScope();
        var scales = empty([outputs], ScalarType.Float32, CPU).DetachFromDisposeScope();
        Int8Rounding.Round(weight, values, scales);
        return new WeightMatrix(To(values, device), To(scales, device), team ?? ComputeTeam.Alone);
    }

    /// <summary>Number of bytes that the matrix holds.</summary>
    public long Bytes => (_values.numel() * _values.ElementSize) + (_scales is null ? 0 : _scales.numel() * sizeof(float));

    /// <summary>
    /// The matrix's memory, for products outside torch; it is valid while the matrix lives. Null if it is on another device than the CPU,
    /// held as f32, or has a number of inputs that is no multiple of 16.
    /// </summary>
    public MatrixMemory? Memory()
    {
        var (outputs, inputs) = ((int)_values.shape[0], (int)_values.shape[1]);
        if (_values.device_type != TorchSharp.DeviceType.CPU || inputs % Lanes.Count != 0) return null;
        if (_values.dtype == ScalarType.Float32) return null;
        using TensorMemory values = new(_values), scales = new(_scales ?? _values);
        return new MatrixMemory(values.Address, _scales is null ? 0 : scales.Address, outputs, inputs);
    }

    /// <summary>Computes x Wᵀ + b.</summary>
    /// <param name="x">[..., inputs]</param>
    /// <param name="bias">[outputs]</param>
    /// <param name="steady">Whether the algorithm must not depend on the number of rows in bfloat16 either.</param>
    /// <returns>[..., outputs], in the dtype of x.</returns>
    public Tensor Multiply(Tensor x, Tensor? bias = null, bool steady = false)
    {
        var dtype = x.dtype;
        // most products take this branch, so it is tested first
        if (_scales is null && (steady || dtype != ScalarType.BFloat16)) return nn.functional.linear(x, _values, bias);
        var shape = x.shape;
        var rows = x.numel() / Math.Max(1, shape[^1]);
        if (!IsComputedHere(dtype, rows, shape[^1], steady))
            return _scales is null ? nn.functional.linear(x, _values, bias) : Expanded(_values, _scales, x, bias);
        if (shape.Length == 2) return CpuProduct.Multiply(_values, _scales, x, bias, _team);
        return CpuProduct.Multiply(_values, _scales, x.reshape(rows, shape[^1]), bias, _team).view([.. shape[..^1], _values.shape[0]]);
    }

    /// <summary>Returns the weights that the matrix represents, f32 [outputs, inputs].</summary>
    public Tensor Expand() => _scales is null ? _values.to(ScalarType.Float32) : _values.to(ScalarType.Float32) * _scales.unsqueeze(1);

    public void Dispose()
    {
        _values.Dispose();
        _scales?.Dispose();
    }

    private bool IsComputedHere(ScalarType dtype, long rows, long inputs, bool steady)
    {
        if (_values.device_type != TorchSharp.DeviceType.CPU) return false;
        if (_scales is null) return rows <= FewRows && _values.dtype == dtype && inputs % Lanes.Count == 0;
        return dtype == ScalarType.Float32 || (dtype == ScalarType.BFloat16 && !steady && rows < ManyRows);
    }

    private static Tensor Expanded(Tensor values, Tensor scales, Tensor x, Tensor? bias)
    {
        var (outputs, inputs, shape) = (values.shape[0], values.shape[1], x.shape);
        var results = empty([.. shape[..^1], outputs], x.dtype, x.device);
        var elements = x.device_type == TorchSharp.DeviceType.CPU ? ExpandedElements : ExpandedElementsOfDevice;
        var step = Math.Max(16, elements / inputs / 16 * 16);
        using var scope = NewDisposeScope();
        var expanded = empty([Math.Min(step, outputs), inputs], x.dtype, x.device);
        for (var first = 0L; first < outputs; first += step)
        {
            using var some = NewDisposeScope();
            var count = Math.Min(step, outputs - first);
            var part = expanded.slice(0, 0, count, 1);
            part.copy_(values.slice(0, first, first + count, 1));
            var sums = nn.functional.linear(x, part) * scales.slice(0, first, first + count, 1); // [..., some outputs], f32
            if (bias is not null) sums.add_(bias.slice(0, first, first + count, 1), Scalars.One);
            results.slice(-1, first, first + count, 1).copy_(sums);
        }

        return results;
    }

    private static Tensor To(Tensor tensor, Device device)
    {
        if (device.type == TorchSharp.DeviceType.CPU) return tensor;
        var moved = tensor.to(device).DetachFromDisposeScope();
        tensor.Dispose();
        return moved;
    }
}
