using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Flamingo.Modeling.Kernels;

/// <summary>
/// The inner loops of a product: some rows with four channels of weights. Rows that come together share what is loaded, but each
/// (row, channel) has an accumulator of its own that sees the same operations in the same order as with a single row, whether its
/// weights come as integers or widened: that is what makes a row's result independent of its company.
/// </summary>
/// <typeparam name="TVector">The vectors it computes with.</typeparam>
/// <typeparam name="TWidth">Their operations.</typeparam>
internal static unsafe class ProductKernel<TVector, TWidth> where TVector : struct where TWidth : struct, IVectorWidth<TVector>
{
    /// <summary>Channels of a call.</summary>
    public const int Channels = 4;

    /// <summary>sums[row, channel] += rows[row] · channels[channel]</summary>
    /// <param name="rows">f32 [count, width], <paramref name="rowStride"/> apart.</param>
    /// <param name="channels">[4, width]: int8 or bf16, or the same values in f32.</param>
    /// <param name="width">A multiple of <typeparamref name="TWidth"/>'s count.</param>
    /// <param name="sums">[count, 4], <paramref name="sumStride"/> apart.</param>
    public static void Add<TWeight>(float* rows, long rowStride, int count, in FourChannels<TWeight> channels, int width, float* sums, int sumStride) where TWeight : unmanaged
    {
        var row = 0;
        for (; TWidth.ManyRegisters && row <= count - 4; row += 4) AddFour(rows + row * rowStride, rowStride, channels.Zero, channels.One, channels.Two, channels.Three, width, sums + row * sumStride, sumStride);
        for (; row <= count - 2; row += 2) AddTwo(rows + row * rowStride, rowStride, channels.Zero, channels.One, channels.Two, channels.Three, width, sums + row * sumStride, sumStride);
        if (row < count) AddOne(rows + row * rowStride, channels.Zero, channels.One, channels.Two, channels.Three, width, sums + row * sumStride);
    }

    /// <summary>Weights as f32, where more rows than a call's want them.</summary>
    /// <param name="target">[4, width]</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static FourChannels<float> Widen<TWeight>(in FourChannels<TWeight> channels, int width, float* target) where TWeight : unmanaged
    {
        TWeight* w0 = channels.Zero, w1 = channels.One, w2 = channels.Two, w3 = channels.Three;
        float* y0 = target, y1 = y0 + width, y2 = y1 + width, y3 = y2 + width;
        for (var i = 0; i < width; i += TWidth.Count)
        {
            TWidth.Store(Load(w0 + i), y0 + i);
            TWidth.Store(Load(w1 + i), y1 + i);
            TWidth.Store(Load(w2 + i), y2 + i);
            TWidth.Store(Load(w3 + i), y3 + i);
        }

        return new(y0, y1, y2, y3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVector Load<TWeight>(TWeight* source) where TWeight : unmanaged =>
        typeof(TWeight) == typeof(sbyte) ? TWidth.Load((sbyte*)source) : typeof(TWeight) == typeof(ushort) ? TWidth.Load((ushort*)source) : TWidth.Load((float*)source);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddOne<TWeight>(float* x, TWeight* w0, TWeight* w1, TWeight* w2, TWeight* w3, int width, float* sums) where TWeight : unmanaged
    {
        TVector a0 = default, a1 = default, a2 = default, a3 = default;
        for (var i = 0; i < width; i += TWidth.Count)
        {
            var v = TWidth.Load(x + i);
            a0 = TWidth.MultiplyAdd(v, Load(w0 + i), a0);
            a1 = TWidth.MultiplyAdd(v, Load(w1 + i), a1);
            a2 = TWidth.MultiplyAdd(v, Load(w2 + i), a2);
            a3 = TWidth.MultiplyAdd(v, Load(w3 + i), a3);
        }

        Add(a0, a1, a2, a3, sums);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddTwo<TWeight>(float* x, long rowStride, TWeight* w0, TWeight* w1, TWeight* w2, TWeight* w3, int width, float* sums, int sumStride) where TWeight : unmanaged
    {
        TVector a0 = default, a1 = default, a2 = default, a3 = default, b0 = default, b1 = default, b2 = default, b3 = default;
        var x1 = x + rowStride;
        for (var i = 0; i < width; i += TWidth.Count)
        {
            TVector v = TWidth.Load(x + i), u = TWidth.Load(x1 + i);
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

        Add(a0, a1, a2, a3, sums);
        Add(b0, b1, b2, b3, sums + sumStride);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddFour<TWeight>(float* x, long rowStride, TWeight* w0, TWeight* w1, TWeight* w2, TWeight* w3, int width, float* sums, int sumStride) where TWeight : unmanaged
    {
        TVector a0 = default, a1 = default, a2 = default, a3 = default, b0 = default, b1 = default, b2 = default, b3 = default;
        TVector c0 = default, c1 = default, c2 = default, c3 = default, d0 = default, d1 = default, d2 = default, d3 = default;
        float* x1 = x + rowStride, x2 = x1 + rowStride, x3 = x2 + rowStride;
        for (var i = 0; i < width; i += TWidth.Count)
        {
            TVector y0 = Load(w0 + i), y1 = Load(w1 + i), y2 = Load(w2 + i), y3 = Load(w3 + i);
            var v = TWidth.Load(x + i);
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

        Add(a0, a1, a2, a3, sums);
        Add(b0, b1, b2, b3, sums + sumStride);
        Add(c0, c1, c2, c3, sums + 2 * sumStride);
        Add(d0, d1, d2, d3, sums + 3 * sumStride);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(TVector zero, TVector one, TVector two, TVector three, float* sums) =>
        (Vector128.Load(sums) + Vector128.Create(TWidth.Sum(zero), TWidth.Sum(one), TWidth.Sum(two), TWidth.Sum(three))).Store(sums);
}

/// <summary>Where the weights of four channels begin.</summary>
internal readonly unsafe struct FourChannels<TWeight>(TWeight* zero, TWeight* one, TWeight* two, TWeight* three) where TWeight : unmanaged
{
    public TWeight* Zero => zero;

    public TWeight* One => one;

    public TWeight* Two => two;

    public TWeight* Three => three;
}
