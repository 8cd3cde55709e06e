using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Flamingo.Modeling.Kernels;

/// <summary>
/// Sixteen f32 lanes and the few operations on them that attention and products need. Every operation is exactly specified (fused
/// multiply-add, fixed orders of addition, its own exponential function), so results do not depend on the CPU or on the
/// optimisation level of the JIT. Without AVX-512 the same lanes are computed in software.
/// </summary>
public static unsafe class Lanes
{
    public const int Count = 16;

    public static int Padded(int length) => (length + Count - 1) / Count * Count;

    /// <summary>Loads sixteen elements of <typeparamref name="T"/>: float, or ushort for bf16.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load<T>(T* source) where T : unmanaged =>
        typeof(T) == typeof(float)
            ? Vector512.Load((float*)source)
            : (Vector512.WidenLower(Vector256.Load((ushort*)source).ToVector512Unsafe()) << 16).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Load<T>(T source) where T : unmanaged =>
        typeof(T) == typeof(float)
            ? Unsafe.BitCast<T, float>(source)
            : BitConverter.UInt32BitsToSingle((uint)Unsafe.BitCast<T, ushort>(source) << 16);

    /// <summary>Rounds to the nearest bf16, ties to even; NaN stays NaN.</summary>
    public static ushort ToBFloat16(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        return float.IsNaN(value) ? (ushort)(bits >> 16 | 0x40) : (ushort)(bits + 0x7fff + (bits >> 16 & 1) >> 16);
    }

    /// <summary>Adds the upper half of the lanes to the lower half, repeatedly: 16, 8, 4, 2, 1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Vector512<float> lanes) => Width256.Sum(lanes.GetLower() + lanes.GetUpper());

    /// <summary>
    /// e^x for x ≤ 0, within 2 ulp; 0 below −86, NaN for NaN. x = n ln 2 + r with n rounded by adding 1.5 × 2^23, a Taylor
    /// polynomial of r (|r| ≤ ln 2 / 2), and n added to the exponent.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Exp(Vector512<float> x)
    {
        var magic = Vector512.Create(12582912f);
        var shifted = Vector512.FusedMultiplyAdd(x, Vector512.Create(1.44269504f), magic);
        var n = shifted - magic;
        // ln 2 in two parts, the first with trailing zeros
        var r = Vector512.FusedMultiplyAdd(n, Vector512.Create(-0.693145752f), x);
        r = Vector512.FusedMultiplyAdd(n, Vector512.Create(-1.42860682e-6f), r);
        var p = Vector512.FusedMultiplyAdd(r, Vector512.Create(1f / 5040), Vector512.Create(1f / 720));
        p = Vector512.FusedMultiplyAdd(r, p, Vector512.Create(1f / 120));
        p = Vector512.FusedMultiplyAdd(r, p, Vector512.Create(1f / 24));
        p = Vector512.FusedMultiplyAdd(r, p, Vector512.Create(1f / 6));
        p = Vector512.FusedMultiplyAdd(r, p, Vector512.Create(0.5f));
        p = Vector512.FusedMultiplyAdd(r, p, Vector512<float>.One);
        p = Vector512.FusedMultiplyAdd(r, p, Vector512<float>.One);
        var scaled = (p.AsInt32() + (shifted.AsInt32() << 23)).AsSingle() + (x - x);           // x − x is 0, or NaN where x is not finite
        return Vector512.ConditionalSelect(Vector512.LessThan(x, Vector512.Create(-86f)), Vector512<float>.Zero, scaled);
    }

    /// <summary>
    /// The error function, within 4e-7, by Abramowitz and Stegun's formula 7.1.26, as torch computes GELU: 1 − (a₁t + … + a₅t⁵) e^(−x²)
    /// with t = 1 / (1 + p |x|), and the sign of x.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Erf(Vector512<float> x)
    {
        var positive = Vector512.Abs(x);
        var t = Vector512<float>.One / Vector512.FusedMultiplyAdd(positive, Vector512.Create(0.3275911f), Vector512<float>.One);
        var sum = Vector512.FusedMultiplyAdd(t, Vector512.Create(1.061405429f), Vector512.Create(-1.453152027f));
        sum = Vector512.FusedMultiplyAdd(t, sum, Vector512.Create(1.421413741f));
        sum = Vector512.FusedMultiplyAdd(t, sum, Vector512.Create(-0.284496736f));
        sum = Vector512.FusedMultiplyAdd(t, sum, Vector512.Create(0.254829592f));
        var result = Vector512<float>.One - (sum * t * Exp(-(positive * positive)));
        return Vector512.ConditionalSelect(Vector512.LessThan(x, Vector512<float>.Zero), -result, result);
    }

    /// <summary>Rounds to the nearest bf16, ties to even, and returns the rounded numbers as f32; NaN stays NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> RoundToBFloat16(Vector512<float> x)
    {
        var bits = x.AsUInt32();
        var rounded = (bits + Vector512.Create(0x7fffu) + (bits >> 16 & Vector512<uint>.One)) & Vector512.Create(0xffff0000u);
        return Vector512.ConditionalSelect(Vector512.Equals(x, x), rounded.AsSingle(), x);
    }

    /// <inheritdoc cref="RoundToBFloat16(Vector512{float})"/>
    public static float RoundToBFloat16(float x) => BitConverter.UInt32BitsToSingle((uint)ToBFloat16(x) << 16);
}
