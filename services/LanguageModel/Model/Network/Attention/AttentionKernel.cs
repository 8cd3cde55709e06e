using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Flamingo.Modeling.Kernels;

namespace Flamingo.LanguageModel.Network.Attention;

/// <summary>
/// The three inner loops of attention, over one block of keys or values and some query rows. Four rows at a time share the loaded
/// keys or values. Each (row, key) and each (row, output lane) has its own accumulator, with the same operations in the same
/// order as for a single row. Therefore the result of a row does not depend on the other rows. Where fewer than four rows, keys
/// or vectors are left, the last one is computed again in place of the missing ones, with the same inputs and the same result.
/// </summary>
internal static unsafe class AttentionKernel
{
    /// <summary>Computes scores[row, key] = query[row] · keys[key]. It writes up to three entries after the last of a row.</summary>
    /// <param name="width">Width of a head, a multiple of <see cref="Lanes.Count"/>. Strides are in elements.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Scores<T>(
        float* query, int queryStride, int rows, T* keys, int keyStride, int count, int width, float* scores, int scoreStride)
        where T : unmanaged
    {
        for (var row = 0; row < rows; row += 4)
        {
            float* q0 = query + row * queryStride, s0 = scores + row * scoreStride;
            var last = Math.Min(rows - row, 4) - 1;
            for (var key = 0; key < count; key += 4)
            {
                var four = new FourVectors<T>(
                    keys + key * keyStride, keys + Math.Min(key + 1, count - 1) * keyStride,
                    keys + Math.Min(key + 2, count - 1) * keyStride, keys + Math.Min(key + 3, count - 1) * keyStride);
                if (last == 0)
                {
                    DotTile<Vector512<float>, Width512>.One(q0, four, width).Store(s0 + key);
                    continue;
                }

                int one = Math.Min(1, last), two = Math.Min(2, last);
                DotTile<Vector512<float>, Width512>.Four(
                    q0, q0 + one * queryStride, q0 + two * queryStride, q0 + last * queryStride, four, width, out var r0, out var r1,
                    out var r2, out var r3);
                r0.Store(s0 + key);
                r1.Store(s0 + one * scoreStride + key);
                r2.Store(s0 + two * scoreStride + key);
                r3.Store(s0 + last * scoreStride + key);
            }
        }
    }

    /// <summary>Turns raw scores into e^(score × scale + slope × (j − (length − 1)) − maximum), in place, and returns their sum.</summary>
    /// <param name="scores">Buffer of at least <see cref="Lanes.Padded"/>(length) entries.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Softmax(float* scores, int length, float scale, float slope)
    {
        var padded = Lanes.Padded(length);
        for (var j = length; j < padded; j++) scores[j] = float.NegativeInfinity;
        var maximum = Vector512.Create(float.NegativeInfinity);
        for (var j = 0; j < padded; j += Lanes.Count)
        {
            var distance = Vector512.ConvertToSingle(Vector512<int>.Indices + Vector512.Create(j - (length - 1)));
            var score = Vector512.FusedMultiplyAdd(Vector512.Load(scores + j), Vector512.Create(scale), Vector512.Create(slope) * distance);
            score.Store(scores + j);
            maximum = Vector512.Max(maximum, score);
        }

        var highest = float.NegativeInfinity;
        for (var lane = 0; lane < Lanes.Count; lane++) highest = Math.Max(highest, maximum[lane]);
        var sum = Vector512<float>.Zero;
        for (var j = 0; j < padded; j += Lanes.Count)
        {
            var weight = Lanes.Exp(Vector512.Load(scores + j) - Vector512.Create(highest));
            weight.Store(scores + j);
            sum += weight;
        }

        return Lanes.Sum(sum);
    }

    /// <summary>Computes mixed[row] += Σ weights[row, key] × values[key] over the first counts[row] keys, in their order.</summary>
    /// <param name="width">Width of values and mixed, a multiple of <see cref="Lanes.Count"/>. Strides are in elements.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Mix<T>(
        float* weights, int weightStride, int rows, int* counts, T* values, int valueStride, int width, float* mixed, int mixedStride)
        where T : unmanaged
    {
        for (var row = 0; row < rows; row += 4)
        {
            var last = Math.Min(rows - row, 4) - 1;
            var shared = 0;
            if (last > 0)
            {
                int one = Math.Min(1, last), two = Math.Min(2, last);
                shared = Math.Min(Math.Min(counts[row], counts[row + one]), Math.Min(counts[row + two], counts[row + last]));
                float* w = weights + row * weightStride, m = mixed + row * mixedStride;
                for (var lane = 0; lane < width && shared > 0; lane += 4 * Lanes.Count)
                    AddWeighted(
                        w, w + one * weightStride, w + two * weightStride, w + last * weightStride, values, valueStride, shared, lane,
                        width - Lanes.Count, m, m + one * mixedStride, m + two * mixedStride, m + last * mixedStride);
            }

            for (var single = row; single <= row + last; single++)
            {
                for (var lane = 0; lane < width && shared < counts[single]; lane += 4 * Lanes.Count)
                    AddWeighted(
                        weights + single * weightStride + shared, values + shared * valueStride, valueStride, counts[single] - shared, lane,
                        width - Lanes.Count, mixed + single * mixedStride);
            }
        }
    }

    // Accumulates four vectors of output lanes from `lane` on, none of which starts after `end`.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddWeighted<T>(float* w, T* values, int stride, int count, int lane, int end, float* m) where T : unmanaged
    {
        int one = Math.Min(lane + 16, end), two = Math.Min(lane + 32, end), three = Math.Min(lane + 48, end);
        Vector512<float> a0 = Vector512.Load(m + lane), a1 = Vector512
            .Load(m + one), a2 = Vector512
            .Load(m + two), a3 = Vector512
            .Load(m + three);
        for (var key = 0; key < count; key++, values += stride)
        {
            var x = Vector512.Create(w[key]);
            a0 = Vector512.FusedMultiplyAdd(x, Lanes.Load(values + lane), a0);
            a1 = Vector512.FusedMultiplyAdd(x, Lanes.Load(values + one), a1);
            a2 = Vector512.FusedMultiplyAdd(x, Lanes.Load(values + two), a2);
            a3 = Vector512.FusedMultiplyAdd(x, Lanes.Load(values + three), a3);
        }

        a0.Store(m + lane);
        a1.Store(m + one);
        a2.Store(m + two);
        a3.Store(m + three);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddWeighted<T>(
        float* w0, float* w1, float* w2, float* w3, T* values, int stride, int count, int lane, int end, float* m0, float* m1, float* m2,
        float* m3)
        where T : unmanaged
    {
        int one = Math.Min(lane + 16, end), two = Math.Min(lane + 32, end), three = Math.Min(lane + 48, end);
        Vector512<float> a0 = Vector512.Load(m0 + lane), a1 = Vector512
            .Load(m0 + one), a2 = Vector512
            .Load(m0 + two), a3 = Vector512
            .Load(m0 + three);
        Vector512<float> b0 = Vector512.Load(m1 + lane), b1 = Vector512
            .Load(m1 + one), b2 = Vector512
            .Load(m1 + two), b3 = Vector512
            .Load(m1 + three);
        Vector512<float> c0 = Vector512.Load(m2 + lane), c1 = Vector512
            .Load(m2 + one), c2 = Vector512
            .Load(m2 + two), c3 = Vector512
            .Load(m2 + three);
        Vector512<float> d0 = Vector512.Load(m3 + lane), d1 = Vector512
            .Load(m3 + one), d2 = Vector512
            .Load(m3 + two), d3 = Vector512
            .Load(m3 + three);
        for (var key = 0; key < count; key++, values += stride)
        {
            Vector512<float> y0 = Lanes.Load(values + lane), y1 = Lanes
                .Load(values + one), y2 = Lanes
                .Load(values + two), y3 = Lanes
                .Load(values + three);
            var x = Vector512.Create(w0[key]);
            a0 = Vector512.FusedMultiplyAdd(x, y0, a0);
            a1 = Vector512.FusedMultiplyAdd(x, y1, a1);
            a2 = Vector512.FusedMultiplyAdd(x, y2, a2);
            a3 = Vector512.FusedMultiplyAdd(x, y3, a3);
            x = Vector512.Create(w1[key]);
            b0 = Vector512.FusedMultiplyAdd(x, y0, b0);
            b1 = Vector512.FusedMultiplyAdd(x, y1, b1);
            b2 = Vector512.FusedMultiplyAdd(x, y2, b2);
            b3 = Vector512.FusedMultiplyAdd(x, y3, b3);
            x = Vector512.Create(w2[key]);
            c0 = Vector512.FusedMultiplyAdd(x, y0, c0);
            c1 = Vector512.FusedMultiplyAdd(x, y1, c1);
            c2 = Vector512.FusedMultiplyAdd(x, y2, c2);
            c3 = Vector512.FusedMultiplyAdd(x, y3, c3);
            x = Vector512.Create(w3[key]);
            d0 = Vector512.FusedMultiplyAdd(x, y0, d0);
            d1 = Vector512.FusedMultiplyAdd(x, y1, d1);
            d2 = Vector512.FusedMultiplyAdd(x, y2, d2);
            d3 = Vector512.FusedMultiplyAdd(x, y3, d3);
        }

        a0.Store(m0 + lane); a1.Store(m0 + one); a2.Store(m0 + two); a3.Store(m0 + three);
        b0.Store(m1 + lane); b1.Store(m1 + one); b2.Store(m1 + two); b3.Store(m1 + three);
        c0.Store(m2 + lane); c1.Store(m2 + one); c2.Store(m2 + two); c3.Store(m2 + three);
        d0.Store(m3 + lane); d1.Store(m3 + one); d2.Store(m3 + two); d3.Store(m3 + three);
    }
}
