namespace Flamingo.Gateway.LatentCache;

/// <summary>
/// How often keys were asked for lately, roughly and never too low: a count-min sketch of four rows of 4-bit counters.
/// After a sample of additions all are halved, so that old fame fades (Einziger, Friedman and Manes, TinyLFU, 2017).
/// </summary>
/// <param name="counters">Per row, a power of two, at least 16; 2 bytes each over all rows.</param>
/// <param name="seed">Of the hashes: the same seed, the same estimates.</param>
public sealed class FrequencySketch(int counters, ulong seed)
{
    private const int Rows = 4;
    private const int PerWord = 16;
    private const ulong AllButHighBits = 0x7777_7777_7777_7777;

    private readonly ulong[] _words = new ulong[Rows * counters / PerWord];
    private int _additions;

    /// <summary>Counts one use.</summary>
    /// <param name="sample">After how many additions counters are halved.</param>
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

    /// <returns>0 to 15.</returns>
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

    // string.GetHashCode differs from process to process
    private ulong Hash(string key)
    {
        var hash = 0xcbf2_9ce4_8422_2325 ^ seed;
        foreach (var character in key) hash = (hash ^ character) * 0x100_0000_01b3; // FNV-1a
        return hash;
    }

    private static ulong Mix(ulong value) // SplitMix64's finalizer
    {
        value = (value ^ (value >> 30)) * 0xbf58_476d_1ce4_e5b9;
        value = (value ^ (value >> 27)) * 0x94d0_49bb_1331_11eb;
        return value ^ (value >> 31);
    }
}
