using System.Diagnostics;
using System.Numerics;
using System.Runtime.InteropServices;

namespace Flamingo.Bench.Machine;

/// <summary>
/// The speed at which this machine reads memory: all threads sum 1 GiB, which is far larger than the caches, each its own part.
/// </summary>
public sealed class ReadBandwidth(int threads)
{
    private const int Vectors = 8; // independent sums per thread, so that loads do not wait for additions
    private readonly ulong[] _memory = Touched(1 << 27);

    /// <summary>Returns the best of a few passes in GB/s (10⁹ bytes).</summary>
    public double Measure(TimeProvider time)
    {
        var best = 0.0;
        for (var pass = 0; pass < 4; pass++)
        {
            var (started, sums) = (time.GetTimestamp(), new ulong[threads]);
            Parallel.For(0, threads, new ParallelOptions { MaxDegreeOfParallelism = threads },
                part => sums[part] = Sum(_memory.AsSpan(Begin(part)..Begin(part + 1))));
            var seconds = time.GetElapsedTime(started).TotalSeconds;
            var total = sums.Aggregate(0UL, (all, sum) => all + sum);
            // the check also keeps the compiler from removing the sum
            if (total != (ulong)_memory.Length) throw new UnreachableException($"{_memory.Length} ones sum to {total}.");
            best = Math.Max(best, _memory.Length * (double)sizeof(ulong) / seconds / 1e9);
        }

        return best;
    }

    private static ulong Sum(ReadOnlySpan<ulong> numbers)
    {
        var vectors = MemoryMarshal.Cast<ulong, Vector<ulong>>(numbers);
        Vector<ulong> a = default, b = default, c = default, d = default, e = default, f = default, g = default, h = default;
        var index = 0;
        for (; index + Vectors <= vectors.Length; index += Vectors)
        {
            a += vectors[index];
            b += vectors[index + 1];
            c += vectors[index + 2];
            d += vectors[index + 3];
            e += vectors[index + 4];
            f += vectors[index + 5];
            g += vectors[index + 6];
            h += vectors[index + 7];
        }

        for (; index < vectors.Length; index++) a += vectors[index];
        var sum = Vector.Sum(a + b + c + d + e + f + g + h);
        foreach (var number in numbers[(vectors.Length * Vector<ulong>.Count)..]) sum += number;
        return sum;
    }

    private static ulong[] Touched(int length)
    {
        var memory = GC.AllocateUninitializedArray<ulong>(length);
        Array.Fill(memory, 1UL);
        return memory;
    }

    private int Begin(int part) => (int)((long)_memory.Length * part / threads);
}
