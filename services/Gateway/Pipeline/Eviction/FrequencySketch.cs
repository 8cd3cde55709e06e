using System.IO.Hashing;
using System.Runtime.InteropServices;

namespace Flamingo.Gateway.Eviction;

/// <summary>
/// Estimates how often each key was used recently, with a count-min sketch: a key has one 4-bit counter in each of four rows, and
/// the smallest of the four is the estimate, which collisions can only raise. After a number of additions all counters are
/// halved, so that old uses count less and less (Einziger, Friedman and Manes, TinyLFU, 2017).
/// </summary>
/// <param name="counters">Number of counters per row: a power of two, at least 16. Each takes 2 bytes over all rows.</param>
/// <param name="seed">Seed of the hash. The same seed gives the same estimates in every process.</param>
public sealed class FrequencySketch(int counters, ulong seed)
{
    private const int Rows = 4;
    private const int PerWord = 16;
    private const ulong AllButHighBits = 0x7777_7777_7777_7777;

    private readonly ulong[] _words = new ulong[Rows * counters / PerWord];
    private int _additions;

    /// <summary>Counts one use.</summary>
    /// <param name="sample">Number of additions after which the counters are halved.</param>
    public void Add(string key, int sample)
    {
        var hash = Hash(key);
        for (var row = 0; row < Rows; row++)
        {
            var (word, shift) = Place(hash, row);
            if (((_words[word] >> shift) & 15) < 15) _words[word] += 1UL << shift;
        }

        if (++_additions < sample) return;
        for (var word = 0; word < _words.Length; word++) _words[word] = (_words[word] >> 1) & AllButHighBits;
        _additions /= 2;
    }

    /// <returns>Estimated number of recent uses, 0 to 15.</returns>
    public int Estimate(string key)
    {
        var (hash, least) = (Hash(key), 15UL);
        for (var row = 0; row < Rows; row++)
        {
            var (word, shift) = Place(hash, row);
            least = Math.Min(least, (_words[word] >> shift) & 15);
        }

        return (int)least;
    }

    private (int Word, int Shift) Place(ulong hash, int row)
    {
        var counter = (int)(Mix(hash + ((ulong)row * 0x9e37_79b9_7f4a_7c15)) & (ulong)(counters - 1));
        return ((row * counters / PerWord) + (counter / PerWord), 4 * (counter % PerWord));
    }

    // string.GetHashCode is not used, because it differs from process to process.
    private ulong Hash(string key) => XxHash3.HashToUInt64(MemoryMarshal.AsBytes(key.AsSpan()), (long)seed);

    private static ulong Mix(ulong value) // the finalizer of SplitMix64, which derives a counter of each row from one hash of the key
    {
        value = (value ^ (value >> 30)) * 0xbf58_476d_1ce4_e5b9;
        value = (value ^ (value >> 27)) * 0x94d0_49bb_1331_11eb;
        return value ^ (value >> 31);
    }
}
