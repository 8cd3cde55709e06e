namespace Flamingo.LanguageModel.Network;

/// <summary>Attention with linear biases (Press et al. 2022), slopes as MPT's gen_slopes computes them.</summary>
public static class Alibi
{
    /// <returns>One slope per head. If the number of heads is not a power of two, the slopes are those of the next power of two,
    /// every second slope first.</returns>
    public static float[] Slopes(int heads, double maxBias)
    {
        var rounded = (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)heads);
        var slopes = Enumerable.Range(1, rounded).Select(head => (float)Math.Pow(2, -head * maxBias / rounded)).ToArray();
        return rounded == heads
            ? slopes
            : [.. slopes.Where((_, index) => index % 2 == 1).Concat(slopes.Where((_, index) => index % 2 == 0)).Take(heads)];
    }
}
