using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Flamingo.Import.OpenFlamingo;

/// <summary>
/// Random numbers that depend on a seed, a name and a position alone, in whatever order they are asked for: the finaliser of SplitMix64
/// (Steele, Lea and Flood 2014) over a counter. The names keep the numbers of two tensors apart.
/// </summary>
public readonly struct SeededValues
{
    private const ulong Step = 0x9e3779b97f4a7c15;
    private readonly ulong _start;

    public SeededValues(long seed, string name) =>
        _start = BinaryPrimitives.ReadUInt64LittleEndian(SHA256.HashData(Encoding.UTF8.GetBytes($"{seed}\0{name}")));

    /// <summary>A number from 0 up to, and without, 1.</summary>
    public double Uniform(long at) => Bits(2 * (ulong)at) / (double)(1L << 53);

    /// <summary>A number of the normal distribution with mean 0 and deviation 1 (Box and Muller 1958).</summary>
    public double Normal(long at) =>
        Math.Sqrt(-2 * Math.Log((Bits(2 * (ulong)at) + 1) / (double)(1L << 53)))
            * Math.Cos(2 * Math.PI * (Bits((2 * (ulong)at) + 1) / (double)(1L << 53)));

    // 53 bits.
    private ulong Bits(ulong counter)
    {
        var mixed = _start + (counter * Step);
        mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
        mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
        return (mixed ^ (mixed >> 31)) >> 11;
    }
}
