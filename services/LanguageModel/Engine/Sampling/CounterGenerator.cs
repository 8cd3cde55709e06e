namespace Flamingo.LanguageModel.Engine.Sampling;

/// <summary>
/// Counter-based random number generator. The number for a position depends only on the seed and the position, so batching, chunking and
/// caching cannot change it. Two rounds of SplitMix64's finalizer (Steele, Lea and Flood 2014).
/// </summary>
public static class CounterGenerator
{
    /// <returns>Uniform in [0, 1), 53 bits.</returns>
    public static double Uniform(ulong seed, int position)
    {
        var mixed = Mix(Mix(seed + 0x9e3779b97f4a7c15) ^ ((ulong)(uint)position * 0xd1342543de82ef95));
        return (mixed >> 11) * (1.0 / (1UL << 53));
    }

    /// <summary>SplitMix64's finalizer: equal values give equal results, and near values unrelated ones.</summary>
    public static ulong Mix(ulong value)
    {
        value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
        value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
        return value ^ (value >> 31);
    }
}
