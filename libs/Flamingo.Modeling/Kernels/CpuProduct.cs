using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using static TorchSharp.torch;

namespace Flamingo.Modeling.Kernels;

/// <summary>
/// Computes x Wᵀ + b on the CPU for weights held as int8 with one scale per output channel, or as bf16. Weights are read in their
/// storage format and converted to f32 in registers or, for many rows, once in the first-level cache. Sums are f32, scaled at the
/// end and rounded once. The result of a row depends bit for bit only on the row and on the CPU's vector width, not on the number
/// of rows nor on threads.
/// </summary>
public static class CpuProduct
{
    /// <summary>Number of bytes that must be readable after the last int8 weight, because rows are read in whole vectors.</summary>
    public const int Slack = 64;

    /// <param name="values">
    /// Weights [outputs, inputs], contiguous: int8 with <see cref="Slack"/> readable bytes after them, or bf16 with a multiple of
    /// 16 inputs.
    /// </param>
    /// <param name="scales">Scales f32 [outputs] for int8; null for bf16.</param>
    /// <param name="x">f32 or bf16 [rows, inputs]</param>
    /// <param name="bias">[outputs], in the dtype of x.</param>
    /// <param name="team">Threads that compute the product.</param>
    /// <returns>[rows, outputs], in the dtype of x.</returns>
    /// <exception cref="ArgumentException">Shapes or dtypes do not fit.</exception>
    public static Tensor Multiply(Tensor values, Tensor? scales, Tensor x, Tensor? bias, ComputeTeam team) =>
        Vector512.IsHardwareAccelerated ? Multiply<Vector512<float>, Width512>(values, scales, x, bias, team)
        : Vector256.IsHardwareAccelerated ? Multiply<Vector256<float>, Width256>(values, scales, x, bias, team)
        : Multiply<Vector128<float>, Width128>(values, scales, x, bias, team);

    /// <summary>Computes the same product with vectors of the given width.</summary>
    public static Tensor Multiply<TVector, TWidth>(Tensor values, Tensor? scales, Tensor x, Tensor? bias, ComputeTeam team)
        where TVector : struct
        where TWidth : struct, IVectorWidth<TVector>
    {
        var (given, held) = (x.shape, values.shape);
        if (given.Length != 2
            || given[1] != held[1] || (bias is not null && (bias.dtype != x.dtype || !bias.shape.SequenceEqual([held[0]]))))
            throw new ArgumentException($"[{string.Join(", ", held)}] weights cannot be multiplied with {x.dtype} "
                + $"[{string.Join(", ", given)}]{(bias is null ? "" : $" and a bias of {bias.dtype} [{string.Join(", ", bias.shape)}]")}.");
        if (values.dtype != (scales is null ? ScalarType.BFloat16 : ScalarType.Int8) || (scales is null && held[1] % Lanes.Count != 0))
            throw new ArgumentException($"Weights must be Int8 with scales, or BFloat16 without scales and with a multiple of 16 inputs; "
                + $"these are {values.dtype} [{string.Join(", ", held)}] {(scales is null ? "without" : "with")} scales.");
        var results = empty([given[0], held[0]], x.dtype, CPU);
        if (given[0] == 0) return results;
        var sizes = ((int)given[0], (int)held[0], (int)held[1]);
        if (x.dtype == ScalarType.Float32 && scales is null)
            CpuProduct<TVector, TWidth, float, ushort>.Compute(values, scales, x, bias, results, sizes, team);
        else if (x.dtype == ScalarType.Float32)
            CpuProduct<TVector, TWidth, float, sbyte>.Compute(values, scales, x, bias, results, sizes, team);
        else if (x.dtype == ScalarType.BFloat16 && scales is null)
            CpuProduct<TVector, TWidth, ushort, ushort>.Compute(values, scales, x, bias, results, sizes, team);
        else if (x.dtype == ScalarType.BFloat16)
            CpuProduct<TVector, TWidth, ushort, sbyte>.Compute(values, scales, x, bias, results, sizes, team);
        else throw new ArgumentException($"Products take Float32 or BFloat16, not {x.dtype}.");
        return results;
    }
}

/// <summary>The tensors of one product, and the computation of a share of its channels.</summary>
/// <typeparam name="TVector">Type of the vectors.</typeparam>
/// <typeparam name="TWidth">Operations of the vectors.</typeparam>
/// <typeparam name="T">Type in which x, bias and results are stored: float, or ushort for bf16.</typeparam>
/// <typeparam name="TWeight">Type in which weights are stored: sbyte, or ushort for bf16.</typeparam>
internal sealed unsafe class CpuProduct<TVector, TWidth, T, TWeight>
    where TVector : struct
    where TWidth : struct, IVectorWidth<TVector>
    where T : unmanaged
    where TWeight : unmanaged
{
    private const int Channels = ProductKernel<TVector, TWidth>.Channels;

    // Inputs that are summed at a time. Four converted channels and four rows of this many inputs fit into the first-level cache.
    private const int Piece = 512;

    // Number of rows whose piece stays in the second-level cache, and total bytes of rows that stay there completely.
    private const int RowBlock = 128, RowBytes = 1 << 18;

    // Up to this many rows, weights are read in their storage format and not converted in advance.
    private const int FewRows = 4;

    // Bounds of the number of channels that a thread takes at a time.
    private const int MostShared = 64, LeastShared = 16;

    // Below this number of multiplications, waking another thread costs more than it saves.
    private const long ParallelWork = 500_000;

    private readonly TWeight* _weights;
    private readonly float* _scales, _rows;
    private readonly T* _bias, _results;
    private readonly long _inputs, _rowStride;
    private readonly int _count, _outputs, _padded, _share;

    private CpuProduct(
        TensorMemory values, float* scales, TensorMemory rows, T* bias, TensorMemory results, (int Rows, int Outputs, int Inputs) sizes,
        int share)
    {
        _weights = (TWeight*)values.At(0);
        _scales = scales;
        _rows = (float*)rows.At(0);
        _bias = bias;
        _results = (T*)results.At(0);
        (_inputs, _rowStride) = (sizes.Inputs, rows.Stride);
        (_count, _outputs, _padded, _share) = (sizes.Rows, sizes.Outputs, Padded(sizes.Inputs), share);
    }

    public static void Compute(
        Tensor values, Tensor? scales, Tensor x, Tensor? bias, Tensor results, (int Rows, int Outputs, int Inputs) sizes, ComputeTeam team)
    {
        var whole = typeof(T) == typeof(float) && sizes.Inputs % TWidth.Count == 0 && x.stride(1) == 1;
        using var widened = whole ? null : Widened(x, sizes.Rows, sizes.Inputs);
        using TensorMemory v = new(values), s = new(scales ?? results), r = new(widened ?? x), o = new(results), b = new(bias ?? results);
        var share = Math.Clamp(sizes.Outputs / (4 * team.Threads) / Channels * Channels, LeastShared, MostShared);
        var product = new CpuProduct<TVector, TWidth, T, TWeight>(
            v, scales is null ? null : (float*)s.At(0), r, bias is null ? null : (T*)b.At(0), o, sizes, share);
        var threads = (long)sizes.Rows * sizes.Outputs * sizes.Inputs < ParallelWork ? 1 : team.Threads;
        team.Run((sizes.Outputs + share - 1) / share, threads, (item, _) => product.ComputeShare(item * share));
    }

    private static int Padded(int inputs) => (inputs + TWidth.Count - 1) / TWidth.Count * TWidth.Count;

    // Returns x as f32 [rows, whole vectors], padded with zeros.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static Tensor Widened(Tensor x, int count, int inputs)
    {
        var widened = empty([count, Padded(inputs)], ScalarType.Float32, CPU);
        using var joined = x.contiguous();
        using TensorMemory from = new(joined), to = new(widened);
        for (var row = 0; row < count; row++)
        {
            T* source = (T*)from.At((long)row * inputs);
            var target = (float*)to.At(row * to.Stride);
            var input = 0;
            for (; input <= inputs - Lanes.Count; input += Lanes.Count) Lanes.Load(source + input).Store(target + input);
            for (; input < Padded(inputs); input++) target[input] = input < inputs ? Lanes.Load(source[input]) : 0;
        }

        return widened;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void ComputeShare(int first)
    {
        var channels = Math.Min(_share, _outputs - first);
        var stride = (channels + Channels - 1) / Channels * Channels;
        var block = Math.Min(RowBlock, _count);
        var scratch = stackalloc float[block * stride + Channels * Piece + Lanes.Count];
        var panel = (float*)(((nint)scratch + 63) & ~63); // a vector that crosses two cache lines loads slowly
        var sums = panel + Channels * Piece;
        for (var row = 0; row < _count; row += block)
        {
            var rows = Math.Min(block, _count - row);
            new Span<float>(sums, rows * stride).Clear();
            Sum(_rows + row * _rowStride, rows, first, channels, panel, sums, stride);
            Write(row, rows, first, channels, sums, stride);
        }
    }

    // With few rows each channel is summed from its first input to its last. With many rows one piece of the inputs is summed for
    // all channels before the next piece, so that this piece of the rows stays in the cache.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Sum(float* rows, int count, int first, int channels, float* panel, float* sums, int stride)
    {
        int groups = stride / Channels, pieces = (_padded + Piece - 1) / Piece;
        var inOrder = (long)count * _padded * sizeof(float) <= RowBytes;
        for (var step = 0; step < groups * pieces; step++)
        {
            var (group, piece) = inOrder ? (step / pieces, step % pieces) : (step % groups, step / groups);
            var (channel, input) = (group * Channels, piece * Piece);
            var width = Math.Min(Piece, _padded - input);
            Prefetch(first + channel + Channels, input, width);
            var weights = new FourVectors<TWeight>(At(0), At(1), At(2), At(3));
            if (count <= FewRows)
                ProductKernel<TVector, TWidth>.Add(rows + input, _rowStride, count, weights, width, sums + channel, stride);
            else ProductKernel<TVector, TWidth>.Add(
                rows + input, _rowStride, count, ProductKernel<TVector, TWidth>.Widen(weights, width, panel), width, sums + channel,
                stride);

            // Indices after the last channel read the last channel again; their results are not used.
            TWeight* At(int offset) => _weights + (first + Math.Min(channel + offset, channels - 1)) * _inputs + input;
        }
    }

    // Prefetches the next four channels into the second-level cache. Prefetching into the first level was measured to be half as
    // fast, because it has too few line buffers.
    private void Prefetch(int channel, int input, int width)
    {
        if (!Sse.IsSupported) return;
        for (var last = Math.Min(channel + Channels, _outputs); channel < last; channel++)
        {
            var weights = _weights + channel * _inputs + input;
            for (var line = 0; line < width; line += 64 / sizeof(TWeight)) Sse.Prefetch1(weights + line);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Write(int row, int rows, int first, int channels, float* sums, int stride)
    {
        for (var some = 0; some < rows; some++)
        {
            var results = _results + (long)(row + some) * _outputs + first;
            for (var channel = 0; channel < channels; channel++)
            {
                var value = sums[some * stride + channel];
                if (_scales is not null) value *= _scales[first + channel];
                if (_bias is not null) value += Lanes.Load(_bias[first + channel]);
                if (typeof(T) == typeof(float)) *(float*)(results + channel) = value;
                else *(ushort*)(results + channel) = Lanes.ToBFloat16(value);
            }
        }
    }
}
