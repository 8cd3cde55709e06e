using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace Flamingo.Modeling.Kernels;

/// <summary>
/// Operations of f32 vectors that a product needs, for each vector width of CPUs. The width determines the order of additions:
/// 16, 8 or 4 partial sums.
/// </summary>
/// <typeparam name="TVector">The vector of that width.</typeparam>
public unsafe interface IVectorWidth<TVector>
{
    static abstract int Count { get; }

    /// <summary>Whether sixteen sums and their operands fit into registers.</summary>
    static abstract bool ManyRegisters { get; }

    static abstract TVector Load(float* source);

    /// <summary>Reads exactly <see cref="Count"/> integers.</summary>
    static abstract TVector Load(sbyte* source);

    /// <summary>Reads exactly <see cref="Count"/> bf16 numbers.</summary>
    static abstract TVector Load(ushort* source);

    static abstract void Store(TVector vector, float* target);

    /// <summary>Computes a × b + c, rounded once if the CPU has fused multiply-add.</summary>
    static abstract TVector MultiplyAdd(TVector a, TVector b, TVector c);

    /// <summary>Adds the upper half of the vector to the lower half, repeatedly.</summary>
    static abstract float Sum(TVector vector);
}

/// <summary>AVX-512 vectors; computed in software on other CPUs.</summary>
public readonly unsafe struct Width512 : IVectorWidth<Vector512<float>>
{
    public static int Count => 16;

    public static bool ManyRegisters => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(float* source) => Lanes.Load(source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(sbyte* source) => Avx512F.IsSupported
        ? Avx512F.ConvertToVector512Single(Avx512F.ConvertToVector512Int32(Vector128.Load(source)))
        : Vector512.Create(Width256.Load(source), Width256.Load(source + 8));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(ushort* source) => Lanes.Load(source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector512<float> vector, float* target) => vector.Store(target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> MultiplyAdd(Vector512<float> a, Vector512<float> b, Vector512<float> c) =>
        Vector512.FusedMultiplyAdd(a, b, c);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Vector512<float> vector) => Lanes.Sum(vector);
}

/// <summary>AVX2 vectors.</summary>
public readonly unsafe struct Width256 : IVectorWidth<Vector256<float>>
{
    public static int Count => 8;

    public static bool ManyRegisters => Avx512F.VL.IsSupported;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Load(float* source) => Vector256.Load(source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Load(sbyte* source) => Avx2.IsSupported
        ? Avx.ConvertToVector256Single(Avx2.ConvertToVector256Int32(source))
        : Vector256.Create(Width128.Load(source), Width128.Load(source + 4));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Load(ushort* source) =>
        (Vector256.WidenLower(Vector128.Load(source).ToVector256Unsafe()) << 16).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector256<float> vector, float* target) => vector.Store(target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> MultiplyAdd(Vector256<float> a, Vector256<float> b, Vector256<float> c) =>
        Fma.IsSupported ? Fma.MultiplyAdd(a, b, c) : a * b + c;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Vector256<float> vector) => Width128.Sum(vector.GetLower() + vector.GetUpper());
}

/// <summary>Vectors of 128 bits, which every supported CPU has.</summary>
public readonly unsafe struct Width128 : IVectorWidth<Vector128<float>>
{
    public static int Count => 4;

    public static bool ManyRegisters => AdvSimd.IsSupported || Avx512F.VL.IsSupported;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Load(float* source) => Vector128.Load(source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Load(sbyte* source)
    {
        var four = Vector128.CreateScalarUnsafe(Unsafe.ReadUnaligned<int>(source)).AsSByte();
        return Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(four)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Load(ushort* source) =>
        (Vector128.WidenLower(Vector128.CreateScalarUnsafe(Unsafe.ReadUnaligned<ulong>(source)).AsUInt16()) << 16).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector128<float> vector, float* target) => vector.Store(target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> MultiplyAdd(Vector128<float> a, Vector128<float> b, Vector128<float> c) =>
        Fma.IsSupported ? Fma.MultiplyAdd(a, b, c) : AdvSimd.IsSupported ? AdvSimd.FusedMultiplyAdd(c, a, b) : a * b + c;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Vector128<float> vector)
    {
        var two = vector + Vector128.Shuffle(vector, Vector128.Create(2, 3, 0, 1));
        return (two + Vector128.Shuffle(two, Vector128.Create(1, 0, 3, 2))).ToScalar();
    }
}
