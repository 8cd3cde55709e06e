using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using static TorchSharp.torch;

namespace Flamingo.Modeling.Kernels;

/// <summary>
/// Rounds weights to int8, channel by channel: scale = largest magnitude / 127, integer = weight / scale to nearest, ties to even.
/// It reads the mapped file twice and writes once, without temporary copies. The same with torch operations would take six passes
/// over f32 copies and several times as long.
/// </summary>
public static unsafe class Int8Rounding
{
    private const int Steps = 127;

    // Number of elements that one thread takes at a time. Sixteen times as many f16 weights are converted to f32 at once.
    private const long Elements = 1 << 20;

    /// <param name="weight">[outputs, inputs] on the CPU, contiguous, f32, bf16 or f16.</param>
    /// <param name="values">int8 [outputs, inputs], contiguous; written.</param>
    /// <param name="scales">f32 [outputs]; written.</param>
    public static void Round(Tensor weight, Tensor values, Tensor scales)
    {
        var (outputs, inputs) = ((int)weight.shape[0], (int)weight.shape[1]);
        if (weight.numel() == 0) return;
        var share = (int)Math.Clamp(Elements / inputs, 1, outputs);
        using TensorMemory to = new(values), s = new(scales);
        if (weight.dtype == ScalarType.Float16)
        {
            for (var first = 0; first < outputs; first += 16 * share)
            {
                using var part = weight.slice(0, first, Math.Min(outputs, first + 16 * share), 1);
                using var wide = part.to(ScalarType.Float32);
                using TensorMemory from = new(wide);
                Rows<float>(from, first, (int)wide.shape[0]);
            }
        }
        else
        {
            using TensorMemory from = new(weight);
            if (weight.dtype == ScalarType.BFloat16) Rows<ushort>(from, 0, outputs);
            else if (weight.dtype == ScalarType.Float32) Rows<float>(from, 0, outputs);
            else throw new ArgumentException($"Weights are Float32, Float16 or BFloat16, not {weight.dtype}.");
        }

        // Rounds the rows of the source, which become the target's rows from first on.
        void Rows<T>(TensorMemory source, int first, int count) where T : unmanaged
        {
            Parallel.For(0, (count + share - 1) / share, item =>
            {
                for (var row = item * share; row < Math.Min(count, (item + 1) * share); row++)
                    *(float*)s.At(first + row) =
                        Row((T*)source.At((long)row * inputs), (sbyte*)to.At((long)(first + row) * inputs), inputs);
            });
        }
    }

    /// <returns>The channel's scale.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Row<T>(T* weights, sbyte* integers, int count) where T : unmanaged
    {
        var largest = Vector512<float>.Zero;
        var i = 0;
        for (; i <= count - Lanes.Count; i += Lanes.Count) largest = Vector512.Max(largest, Vector512.Abs(Lanes.Load(weights + i)));
        var magnitude = 0f;
        for (var lane = 0; lane < Lanes.Count; lane++) magnitude = Math.Max(magnitude, largest[lane]);
        for (; i < count; i++) magnitude = Math.Max(magnitude, Math.Abs(Lanes.Load(weights[i])));

        var scale = magnitude / Steps;
        var step = scale == 0 ? 1 : scale;
        for (i = 0; i <= count - Lanes.Count; i += Lanes.Count)
        {
            var rounded = Vector512.ConvertToInt32(
                Vector512.Clamp(
                    Vector512.Round(Lanes.Load(weights + i) / Vector512.Create(step)), Vector512.Create(-(float)Steps),
                    Vector512.Create((float)Steps)));
            var sixteen = Vector256.Narrow(rounded.GetLower(), rounded.GetUpper());
            Vector128.Narrow(sixteen.GetLower(), sixteen.GetUpper()).Store(integers + i);
        }

        for (; i < count; i++) integers[i] = (sbyte)Math.Clamp(MathF.Round(Lanes.Load(weights[i]) / step), -Steps, Steps);
        return scale;
    }
}
