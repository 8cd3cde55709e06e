using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Flamingo.Modeling.Kernels;

/// <summary>
/// Dot products of one, two or four rows with four vectors of weights or keys. The rows of a call share the loaded weights. Each
/// (row, weight) has its own accumulator, with the same operations in the same order as for a single row, whatever the storage
/// format of the weights. Therefore the result of a row does not depend on the other rows.
/// </summary>
/// <typeparam name="TVector">Type of the vectors.</typeparam>
/// <typeparam name="TWidth">Operations of the vectors.</typeparam>
public static unsafe class DotTile<TVector, TWidth> where TVector : struct where TWidth : struct, IVectorWidth<TVector>
{
    /// <param name="x">f32 [width]</param>
    /// <param name="weights">[4, width]: f32, int8 (sbyte) or bf16 (ushort).</param>
    /// <param name="width">Number of elements, a multiple of <typeparamref name="TWidth"/>'s count.</param>
    /// <returns>The dot products of x with each of the four vectors.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> One<T>(float* x, in FourVectors<T> weights, int width) where T : unmanaged
    {
        T* w0 = weights.Zero, w1 = weights.One, w2 = weights.Two, w3 = weights.Three;
        TVector a0 = default, a1 = default, a2 = default, a3 = default;
        for (var i = 0; i < width; i += TWidth.Count)
        {
            var v = TWidth.Load(x + i);
            a0 = TWidth.MultiplyAdd(v, Load(w0 + i), a0);
            a1 = TWidth.MultiplyAdd(v, Load(w1 + i), a1);
            a2 = TWidth.MultiplyAdd(v, Load(w2 + i), a2);
            a3 = TWidth.MultiplyAdd(v, Load(w3 + i), a3);
        }

        return Sums(a0, a1, a2, a3);
    }

    /// <inheritdoc cref="One"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Two<T>(
        float* x0, float* x1, in FourVectors<T> weights, int width, out Vector128<float> zero, out Vector128<float> one)
        where T : unmanaged
    {
        T* w0 = weights.Zero, w1 = weights.One, w2 = weights.Two, w3 = weights.Three;
        TVector a0 = default, a1 = default, a2 = default, a3 = default, b0 = default, b1 = default, b2 = default, b3 = default;
        for (var i = 0; i < width; i += TWidth.Count)
        {
            TVector v = TWidth.Load(x0 + i), u = TWidth.Load(x1 + i);
            var y = Load(w0 + i);
            a0 = TWidth.MultiplyAdd(v, y, a0);
            b0 = TWidth.MultiplyAdd(u, y, b0);
            y = Load(w1 + i);
            a1 = TWidth.MultiplyAdd(v, y, a1);
            b1 = TWidth.MultiplyAdd(u, y, b1);
            y = Load(w2 + i);
            a2 = TWidth.MultiplyAdd(v, y, a2);
            b2 = TWidth.MultiplyAdd(u, y, b2);
            y = Load(w3 + i);
            a3 = TWidth.MultiplyAdd(v, y, a3);
            b3 = TWidth.MultiplyAdd(u, y, b3);
        }

        (zero, one) = (Sums(a0, a1, a2, a3), Sums(b0, b1, b2, b3));
    }

    /// <inheritdoc cref="One"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Four<T>(
        float* x0, float* x1, float* x2, float* x3, in FourVectors<T> weights, int width, out Vector128<float> zero,
        out Vector128<float> one, out Vector128<float> two, out Vector128<float> three) where T : unmanaged
    {
        T* w0 = weights.Zero, w1 = weights.One, w2 = weights.Two, w3 = weights.Three;
        TVector a0 = default, a1 = default, a2 = default, a3 = default, b0 = default, b1 = default, b2 = default, b3 = default;
        TVector c0 = default, c1 = default, c2 = default, c3 = default, d0 = default, d1 = default, d2 = default, d3 = default;
        for (var i = 0; i < width; i += TWidth.Count)
        {
            TVector y0 = Load(w0 + i), y1 = Load(w1 + i), y2 = Load(w2 + i), y3 = Load(w3 + i);
            var v = TWidth.Load(x0 + i);
            a0 = TWidth.MultiplyAdd(v, y0, a0);
            a1 = TWidth.MultiplyAdd(v, y1, a1);
            a2 = TWidth.MultiplyAdd(v, y2, a2);
            a3 = TWidth.MultiplyAdd(v, y3, a3);
            v = TWidth.Load(x1 + i);
            b0 = TWidth.MultiplyAdd(v, y0, b0);
            b1 = TWidth.MultiplyAdd(v, y1, b1);
            b2 = TWidth.MultiplyAdd(v, y2, b2);
            b3 = TWidth.MultiplyAdd(v, y3, b3);
            v = TWidth.Load(x2 + i);
            c0 = TWidth.MultiplyAdd(v, y0, c0);
            c1 = TWidth.MultiplyAdd(v, y1, c1);
            c2 = TWidth.MultiplyAdd(v, y2, c2);
            c3 = TWidth.MultiplyAdd(v, y3, c3);
            v = TWidth.Load(x3 + i);
            d0 = TWidth.MultiplyAdd(v, y0, d0);
            d1 = TWidth.MultiplyAdd(v, y1, d1);
            d2 = TWidth.MultiplyAdd(v, y2, d2);
            d3 = TWidth.MultiplyAdd(v, y3, d3);
        }

        (zero, one, two, three) = (Sums(a0, a1, a2, a3), Sums(b0, b1, b2, b3), Sums(c0, c1, c2, c3), Sums(d0, d1, d2, d3));
    }

    /// <summary>Loads a vector of weights and converts it to f32.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Load<T>(T* source) where T : unmanaged =>
        typeof(T) == typeof(sbyte)
            ? TWidth.Load((sbyte*)source)
            : typeof(T) == typeof(ushort)
            ? TWidth.Load((ushort*)source)
            : TWidth.Load((float*)source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Sums(TVector zero, TVector one, TVector two, TVector three) =>
        Vector128.Create(TWidth.Sum(zero), TWidth.Sum(one), TWidth.Sum(two), TWidth.Sum(three));
}

/// <summary>Pointers to the first elements of four vectors of weights or keys.</summary>
public readonly unsafe struct FourVectors<T>(T* zero, T* one, T* two, T* three) where T : unmanaged
{
    public T* Zero => zero;

    public T* One => one;

    public T* Two => two;

    public T* Three => three;
}
