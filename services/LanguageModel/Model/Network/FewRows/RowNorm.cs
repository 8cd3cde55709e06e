using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Flamingo.Modeling.Kernels;
using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Network.FewRows;

/// <summary>
/// <see cref="Norm"/> for one row of bf16 numbers that are held as f32: computed in f32 and rounded to bf16 where torch rounds. The sums
/// are taken in another order than torch's, so a result differs from torch's where it lies almost in the middle of two bf16 numbers.
/// </summary>
internal sealed unsafe class RowNorm
{
    private readonly bool _rootMeanSquare;
    private readonly FloatRows _weight;
    private readonly FloatRows? _bias;
    private readonly float _epsilon;

    /// <param name="rootMeanSquare">Whether it is an rms_norm, otherwise a layer_norm.</param>
    /// <param name="weight">[width]</param>
    /// <param name="bias">[width], or null.</param>
    public RowNorm(bool rootMeanSquare, Tensor weight, Tensor? bias, float epsilon)
    {
        (_rootMeanSquare, _epsilon) = (rootMeanSquare, epsilon);
        (_weight, _bias) = (FloatRows.Of(weight)!, FloatRows.Of(bias));
    }

    public int Width => _weight.Width;

    /// <param name="row">[width]</param>
    /// <param name="result">[width]; it may be the row.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Apply(float* row, float* result)
    {
        var width = _weight.Width;
        var whole = width / Lanes.Count * Lanes.Count;
        var mean = _rootMeanSquare ? 0 : Sum(row, width, whole) / width;
        var factor = 1 / MathF.Sqrt((Squares(row, width, whole, mean) / width) + _epsilon);
        float* weight = _weight.Start, bias = _bias is null ? null : _bias.Start;
        for (var i = 0; i < whole; i += Lanes.Count)
        {
            var value = (Vector512.Load(row + i) - Vector512.Create(mean)) * Vector512.Create(factor);
            if (_rootMeanSquare) value = Lanes.RoundToBFloat16(value);
            value *= Vector512.Load(weight + i);
            if (bias is not null) value += Vector512.Load(bias + i);
            Lanes.RoundToBFloat16(value).Store(result + i);
        }

        for (var i = whole; i < width; i++)
        {
            var value = (row[i] - mean) * factor;
            if (_rootMeanSquare) value = Lanes.RoundToBFloat16(value);
            value *= weight[i];
            if (bias is not null) value += bias[i];
            result[i] = Lanes.RoundToBFloat16(value);
        }
    }

    private static float Sum(float* row, int width, int whole)
    {
        var sum = Vector512<float>.Zero;
        for (var i = 0; i < whole; i += Lanes.Count) sum += Vector512.Load(row + i);
        var total = Lanes.Sum(sum);
        for (var i = whole; i < width; i++) total += row[i];
        return total;
    }

    private static float Squares(float* row, int width, int whole, float mean)
    {
        var sum = Vector512<float>.Zero;
        for (var i = 0; i < whole; i += Lanes.Count)
        {
            var difference = Vector512.Load(row + i) - Vector512.Create(mean);
            sum = Vector512.FusedMultiplyAdd(difference, difference, sum);
        }

        var total = Lanes.Sum(sum);
        for (var i = whole; i < width; i++) total += (row[i] - mean) * (row[i] - mean);
        return total;
    }
}
