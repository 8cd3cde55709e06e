using System.Runtime.InteropServices;

namespace Flamingo.Bench.Synthesis;

/// <summary>
/// Fills weights at the speed of memory copies. A million normal values are drawn once and truncated to bf16, and each tensor consists
/// of pieces from random places of that block. The values suit timing, but not statistics.
/// </summary>
public sealed class SyntheticValues
{
    private const int Block = 1 << 20;
    private const int Piece = 1 << 14;
    private const double Deviation = 0.02;
    private readonly float[] _normals = new float[Block];
    private readonly Dictionary<string, byte[]> _spelled = [];
    private readonly Random _random;

    public SyntheticValues(int seed)
    {
        _random = new Random(seed);
        for (var index = 0; index < Block; index += 2)
        {
            // Box–Muller transform
            var radius = Deviation * Math.Sqrt(-2 * Math.Log(1 - _random.NextDouble()));
            var (sine, cosine) = Math.SinCos(2 * Math.PI * _random.NextDouble());
            (_normals[index], _normals[index + 1]) = (BFloat16(radius * cosine), BFloat16(radius * sine));
        }
    }

    /// <summary>
    /// Returns the row-major bytes of a tensor. Every call gives new values; the sequence of values is the same in every dtype.
    /// </summary>
    /// <param name="dtype">BF16, F16, F32, or BOOL for tensors that are not weights.</param>
    public byte[] Fill(SyntheticTensor tensor, string dtype = "BF16")
    {
        var size = Spell([0], dtype).Length;
        var bytes = GC.AllocateUninitializedArray<byte>(checked((int)(tensor.Elements * size)));
        if (tensor.Filling != Filling.Random)
        {
            var one = Spell([BFloat16(tensor.Filling switch { Filling.One => 1, Filling.Gate => 0.1, _ => 0 })], dtype);
            for (var index = 0; index < bytes.Length; index++) bytes[index] = one[index % size];
            return bytes;
        }

        if (!_spelled.TryGetValue(dtype, out var normals)) _spelled[dtype] = normals = Spell(_normals, dtype);
        for (var rest = bytes.AsSpan(); !rest.IsEmpty;)
        {
            var length = Math.Min(rest.Length / size, Piece);
            normals.AsSpan(_random.Next(Block - length) * size, length * size).CopyTo(rest);
            rest = rest[(length * size)..];
        }

        return bytes;
    }

    private static byte[] Spell(float[] values, string dtype) => dtype switch
    {
        "BF16" =>
            MemoryMarshal.AsBytes(values.Select(value => (ushort)(BitConverter.SingleToUInt32Bits(value) >> 16)).ToArray()
                .AsSpan()).ToArray(),
        "F16" => MemoryMarshal.AsBytes(values.Select(value => (Half)value).ToArray().AsSpan()).ToArray(),
        "F32" => MemoryMarshal.AsBytes(values.AsSpan()).ToArray(),
        "BOOL" => [.. values.Select(value => (byte)(value == 0 ? 0 : 1))],
        _ => throw new ArgumentException($"'{dtype}' is none of BF16, F16, F32, BOOL.", nameof(dtype)),
    };

    // Values are truncated, because rounding makes no difference for random values.
    private static float BFloat16(
        double value) => BitConverter.UInt32BitsToSingle(BitConverter.SingleToUInt32Bits((float)value) & 0xffff0000);
}
