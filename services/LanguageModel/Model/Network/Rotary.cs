using Flamingo.LanguageModel.Network.FewRows;
using Flamingo.Modeling.Kernels;
using Flamingo.Modeling.Tensors;

using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Network;

/// <summary>
/// Rotary positions (Su et al. 2021) in the rotate-half form of GPT-NeoX and LLaMA: dimensions i and i + half of the rotated part
/// of a head are rotated together by position × base^(−2i / rotated); the dimensions after the rotated part do not change. Keys
/// are stored rotated.
/// </summary>
internal sealed class Rotary : IDisposable
{
    private readonly Tensor _cosines, _sines; // [context, rotated / 2]

    /// <param name="fraction">Fraction of a head's dimensions that is rotated.</param>
    /// <param name="context">Number of positions.</param>
    public Rotary(int head, double fraction, double rotaryBase, int context, Device device)
    {
        var half = (int)(head * fraction) / 2;
        // Angles are f32 and rounded in the same places as in the original implementations, which matters for late positions.
        var frequencies = Enumerable.Range(0, half).Select(pair => 1f / MathF.Pow((float)rotaryBase, 2f * pair / (2 * half))).ToArray();
        var (cosines, sines) = (new float[context * half], new float[context * half]);
        for (var at = 0; at < cosines.Length; at++)
        {
            var angle = (double)((at / half) * frequencies[at % half]);
            (cosines[at], sines[at]) = ((float)Math.Cos(angle), (float)Math.Sin(angle));
        }

        Tensor Table(float[] values) => tensor(values, [context, half], device: device).DetachFromDisposeScope();
        (_cosines, _sines) = (Table(cosines), Table(sines));
    }

    /// <summary>The same rotation for few rows, outside torch; it is valid while this object lives.</summary>
    public RowRotation ForRows(int head)
    {
        using TensorMemory cosines = new(_cosines), sines = new(_sines);
        return new RowRotation(cosines.Address, sines.Address, (int)_cosines.shape[1], head);
    }

    /// <summary>The rotation of each row, by its position in its sequence.</summary>
    /// <param name="positions">int64 [rows], on the device.</param>
    public Rotation Of(Tensor positions) =>
        new(_cosines.index_select(0, positions).unsqueeze(1), _sines.index_select(0, positions).unsqueeze(1));

    public void Dispose()
    {
        _cosines.Dispose();
        _sines.Dispose();
    }
}

/// <summary>
/// Cosines and sines of the rotation angles of one step, the same for all layers: f32 [rows, 1, rotated / 2] each. They belong to
/// the caller's scope.
/// </summary>
internal sealed record Rotation(Tensor Cosines, Tensor Sines)
{
    /// <param name="x">Queries or keys, [rows, heads × head].</param>
    public Tensor Rotate(Tensor x, int head)
    {
        var heads = x.unflatten(1, [-1, head]);                                      // [rows, heads, head]
        var half = Cosines.shape[2];
        var (first, second, rest) = (heads.slice(2, 0, half, 1), heads.slice(2, half, 2 * half, 1), heads.slice(2, 2 * half, head, 1));
        var rotated = cat([(first * Cosines) - (second * Sines), (second * Cosines).Plus(first * Sines)], 2).to(x.dtype);
        return cat([rotated, rest], 2).flatten(1);                                    // [rows, heads × head]
    }
}
