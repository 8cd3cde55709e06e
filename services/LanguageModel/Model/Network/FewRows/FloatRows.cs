using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Flamingo.Modeling.Kernels;
using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Network.FewRows;

/// <summary>
/// Rows of f32 numbers outside torch, aligned and zero at first. Each row is followed by zeros up to whole vectors, so that loops need no
/// remainder. The memory does not move and lives as long as this object.
/// </summary>
internal sealed unsafe class FloatRows
{
    private const int Alignment = 16; // in floats
    private readonly float[] _memory;

    public FloatRows(int rows, int width)
    {
        (Stride, Width) = (Lanes.Padded(width), width);
        _memory = GC.AllocateArray<float>((rows * Stride) + Alignment, pinned: true);
        var start = (float*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(_memory));
        Start = start + ((Alignment - ((nint)start / sizeof(float) % Alignment)) % Alignment);
    }

    public float* Start { get; }

    /// <summary>Number of floats from one row to the next.</summary>
    public int Stride { get; }

    public int Width { get; }

    /// <summary>Copies a small tensor [width] of the CPU, such as a bias, into one row.</summary>
    public static FloatRows? Of(Tensor? tensor)
    {
        if (tensor is null) return null;
        using var wide = tensor.to(ScalarType.Float32);
        var values = wide.data<float>().ToArray();
        var rows = new FloatRows(1, values.Length);
        values.CopyTo(new Span<float>(rows.Start, values.Length));
        return rows;
    }

    public float* Row(int row) => Start + ((long)row * Stride);
}

/// <summary>Rows of bf16 numbers; otherwise like <see cref="FloatRows"/>.</summary>
internal sealed unsafe class BFloat16Rows
{
    private readonly ushort[] _memory;

    public BFloat16Rows(int rows, int width)
    {
        Stride = Lanes.Padded(width);
        _memory = GC.AllocateArray<ushort>((rows * Stride) + Lanes.Count, pinned: true);
        Start = (ushort*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(_memory));
    }

    public ushort* Start { get; }

    public int Stride { get; }

    public ushort* Row(int row) => Start + ((long)row * Stride);

    /// <summary>Converts f32 numbers that are bf16 numbers already, or rounds them to the nearest.</summary>
    public static void Narrow(float* from, ushort* to, int count)
    {
        for (var at = 0; at < count; at++) to[at] = Lanes.ToBFloat16(from[at]);
    }

    public static void Widen(ushort* from, float* to, int count)
    {
        for (var at = 0; at < count; at++) to[at] = Lanes.Load(from[at]);
    }
}
