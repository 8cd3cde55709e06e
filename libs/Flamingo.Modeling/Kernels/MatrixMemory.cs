using System.Runtime.Intrinsics;

namespace Flamingo.Modeling.Kernels;

/// <summary>
/// The memory of a matrix [outputs, inputs] on the CPU, and its product with few rows for some of the outputs, with the arithmetic of
/// <see cref="CpuProduct"/>: the result of a row depends bit for bit only on the row and on the CPU's vector width. It is valid while its
/// matrix lives.
/// </summary>
/// <param name="Values">bf16 [outputs, inputs], or int8 with <see cref="CpuProduct.Slack"/> readable bytes after them.</param>
/// <param name="Scales">f32 [outputs] for int8; null for bf16.</param>
public readonly unsafe record struct MatrixMemory(nint Values, nint Scales, int Outputs, int Inputs)
{
    // The same as in CpuProduct, because the inputs are summed piece by piece.
    private const int Piece = 512;

    // Up to this number of rows, weights are converted again for each four rows.
    private const int FewRows = 4;

    public bool IsInt8 => Scales != 0;

    /// <summary>Number of floats that <see cref="Multiply"/> needs as working memory, with any number of rows.</summary>
    public static int ScratchFloats => 4 * Piece;

    /// <summary>Bytes of the weights of one output.</summary>
    public int RowBytes => IsInt8 ? Inputs : Inputs * sizeof(ushort);

    /// <summary>Computes sums[row, o] = Σ rows[row] × weights[first + o], scaled for int8.</summary>
    /// <param name="rows">f32 [count, inputs], padded with zeros to whole vectors of 16; <paramref name="rowStride"/> apart.</param>
    /// <param name="outputs">Number of outputs. Sums are written for this number rounded up to a multiple of four.</param>
    /// <param name="sums">f32 [count, outputs], <paramref name="sumStride"/> apart.</param>
    public void Multiply(float* rows, long rowStride, int count, int first, int outputs, float* sums, int sumStride, float* scratch)
    {
        if (Vector512.IsHardwareAccelerated)
            Multiply<Vector512<float>, Width512>(rows, rowStride, count, first, outputs, sums, sumStride, scratch);
        else if (Vector256.IsHardwareAccelerated)
            Multiply<Vector256<float>, Width256>(rows, rowStride, count, first, outputs, sums, sumStride, scratch);
        else Multiply<Vector128<float>, Width128>(rows, rowStride, count, first, outputs, sums, sumStride, scratch);
    }

    private void Multiply<TVector, TWidth>(
        float* rows, long rowStride, int count, int first, int outputs, float* sums, int sumStride, float* scratch)
        where TVector : struct
        where TWidth : struct, IVectorWidth<TVector>
    {
        if (!IsInt8)
        {
            Multiply<TVector, TWidth, ushort>(rows, rowStride, count, first, outputs, sums, sumStride, scratch);
            return;
        }

        Multiply<TVector, TWidth, sbyte>(rows, rowStride, count, first, outputs, sums, sumStride, scratch);
        var scales = (float*)Scales + first;
        for (var row = 0; row < count; row++)
            for (var output = 0; output < outputs; output++) sums[row * sumStride + output] *= scales[output];
    }

    private void Multiply<TVector, TWidth, TWeight>(
        float* rows, long rowStride, int count, int first, int outputs, float* sums, int sumStride, float* scratch)
        where TVector : struct
        where TWidth : struct, IVectorWidth<TVector>
        where TWeight : unmanaged
    {
        var padded = (Inputs + TWidth.Count - 1) / TWidth.Count * TWidth.Count;
        for (var output = 0; output < outputs; output += 4)
        {
            for (var row = 0; row < count; row++) Vector128<float>.Zero.Store(sums + row * sumStride + output);
            for (var input = 0; input < padded; input += Piece)
            {
                var width = Math.Min(Piece, padded - input);
                Prefetch<TWeight>(first + output + 4, input, width);
                var weights = new FourVectors<TWeight>(
                    At<TWeight>(first, output, outputs, input), At<TWeight>(first, output + 1, outputs, input),
                    At<TWeight>(first, output + 2, outputs, input), At<TWeight>(first, output + 3, outputs, input));
                if (count <= FewRows)
                    ProductKernel<TVector, TWidth>.Add(rows + input, rowStride, count, weights, width, sums + output, sumStride);
                else ProductKernel<TVector, TWidth>.Add(
                    rows + input, rowStride, count, ProductKernel<TVector, TWidth>.Widen(weights, width, scratch), width, sums + output,
                    sumStride);
            }
        }
    }

    // Outputs behind the last one read the last one again; their sums are not used.
    private TWeight* At<TWeight>(int first, int output, int outputs, int input) where TWeight : unmanaged =>
        (TWeight*)Values + (long)(first + Math.Min(output, outputs - 1)) * Inputs + input;

    /// <summary>Prefetches some outputs into the second-level cache, before a product that begins with them.</summary>
    public void Prefetch(int first, int outputs)
    {
        for (var output = first; output < Math.Min(first + outputs, Outputs); output += 4)
        {
            if (IsInt8) Prefetch<sbyte>(output, 0, Inputs);
            else Prefetch<ushort>(output, 0, Inputs);
        }
    }

    private void Prefetch<TWeight>(int output, int input, int width) where TWeight : unmanaged
    {
        if (!System.Runtime.Intrinsics.X86.Sse.IsSupported) return;
        for (var last = Math.Min(output + 4, Outputs); output < last; output++)
        {
            var weights = (TWeight*)Values + (long)output * Inputs + input;
            for (var line = 0; line < width; line += 64 / sizeof(TWeight)) System.Runtime.Intrinsics.X86.Sse.Prefetch1(weights + line);
        }
    }
}
