using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Flamingo.Modeling.Kernels;

/// <summary>The inner loops of a product: some rows with four channels of weights, by <see cref="DotTile{TVector, TWidth}"/>.</summary>
/// <typeparam name="TVector">Type of the vectors.</typeparam>
/// <typeparam name="TWidth">Operations of the vectors.</typeparam>
internal static unsafe class ProductKernel<TVector, TWidth> where TVector : struct where TWidth : struct, IVectorWidth<TVector>
{
    /// <summary>Number of channels of one call.</summary>
    public const int Channels = 4;

    /// <summary>Computes sums[row, channel] += rows[row] · channels[channel].</summary>
    /// <param name="rows">f32 [count, width], <paramref name="rowStride"/> apart.</param>
    /// <param name="channels">[4, width]: int8 or bf16, or the same values in f32.</param>
    /// <param name="width">Number of elements, a multiple of <typeparamref name="TWidth"/>'s count.</param>
    /// <param name="sums">[count, 4], <paramref name="sumStride"/> apart.</param>
    public static void Add<TWeight>(
        float* rows, long rowStride, int count, in FourVectors<TWeight> channels, int width, float* sums, int sumStride)
        where TWeight : unmanaged
    {
        var row = 0;
        for (; TWidth.ManyRegisters && row <= count - 4; row += 4)
            AddFour(rows + row * rowStride, rowStride, channels, width, sums + row * sumStride, sumStride);
        for (; row <= count - 2; row += 2) AddTwo(rows + row * rowStride, rowStride, channels, width, sums + row * sumStride, sumStride);
        if (row < count) AddOne(rows + row * rowStride, channels, width, sums + row * sumStride);
    }

    /// <summary>Converts weights to f32 once, for use by many rows.</summary>
    /// <param name="target">[4, width]</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static FourVectors<float> Widen<TWeight>(in FourVectors<TWeight> channels, int width, float* target) where TWeight : unmanaged
    {
        TWeight* w0 = channels.Zero, w1 = channels.One, w2 = channels.Two, w3 = channels.Three;
        float* y0 = target, y1 = y0 + width, y2 = y1 + width, y3 = y2 + width;
        for (var i = 0; i < width; i += TWidth.Count)
        {
            TWidth.Store(DotTile<TVector, TWidth>.Load(w0 + i), y0 + i);
            TWidth.Store(DotTile<TVector, TWidth>.Load(w1 + i), y1 + i);
            TWidth.Store(DotTile<TVector, TWidth>.Load(w2 + i), y2 + i);
            TWidth.Store(DotTile<TVector, TWidth>.Load(w3 + i), y3 + i);
        }

        return new(y0, y1, y2, y3);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddOne<TWeight>(float* x, in FourVectors<TWeight> channels, int width, float* sums) where TWeight : unmanaged =>
        Add(DotTile<TVector, TWidth>.One(x, channels, width), sums);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddTwo<TWeight>(float* x, long rowStride, in FourVectors<TWeight> channels, int width, float* sums, int sumStride)
        where TWeight : unmanaged
    {
        DotTile<TVector, TWidth>.Two(x, x + rowStride, channels, width, out var zero, out var one);
        Add(zero, sums);
        Add(one, sums + sumStride);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddFour<TWeight>(float* x, long rowStride, in FourVectors<TWeight> channels, int width, float* sums, int sumStride)
        where TWeight : unmanaged
    {
        DotTile<TVector, TWidth>.Four(
            x, x + rowStride, x + 2 * rowStride, x + 3 * rowStride, channels, width, out var zero, out var one, out var two, out var three);
        Add(zero, sums);
        Add(one, sums + sumStride);
        Add(two, sums + 2 * sumStride);
        Add(three, sums + 3 * sumStride);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(Vector128<float> products, float* sums) => (Vector128.Load(sums) + products).Store(sums);
}
