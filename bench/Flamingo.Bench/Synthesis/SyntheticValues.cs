using System.Runtime.InteropServices;

namespace Flamingo.Bench.Synthesis;

/// <summary>
/// Fills weights with bf16 values at the speed of memory: normals are drawn once, a million of them, and a tensor is
/// pieces of that block from random places. Good for timing, not for statistics.
/// </summary>
public sealed class SyntheticValues
{
    private const int Block = 1 << 20;
    private const int Piece = 1 << 14;
    private const double Deviation = 0.02;
    private readonly ushort[] _normals = new ushort[Block];
    private readonly Random _random;

    public SyntheticValues(int seed)
    {
        _random = new Random(seed);
        for (var index = 0; index < Block; index += 2)
        {
            // Box–Muller
            var radius = Deviation * Math.Sqrt(-2 * Math.Log(1 - _random.NextDouble()));
            var (sine, cosine) = Math.SinCos(2 * Math.PI * _random.NextDouble());
            (_normals[index], _normals[index + 1]) = (BFloat16(radius * cosine), BFloat16(radius * sine));
        }
    }

    /// <summary>Row-major bf16 bytes; another call for the same tensor gives other normals.</summary>
    public byte[] Fill(SyntheticTensor tensor)
    {
        var bytes = GC.AllocateUninitializedArray<byte>(checked((int)(tensor.Elements * sizeof(ushort))));
        var values = MemoryMarshal.Cast<byte, ushort>(bytes.AsSpan());
        if (tensor.Filling != Filling.Random)
        {
            values.Fill(BFloat16(tensor.Filling switch { Filling.One => 1, Filling.Gate => 0.1, _ => 0 }));
            return bytes;
        }

        for (var rest = values; !rest.IsEmpty;)
        {
            var length = Math.Min(rest.Length, Piece);
            _normals.AsSpan(_random.Next(Block - length), length).CopyTo(rest);
            rest = rest[length..];
        }

        return bytes;
    }

    // cut off, not rounded: these are random anyway
    private static ushort BFloat16(double value) => (ushort)(BitConverter.SingleToUInt32Bits((float)value) >> 16);
}
