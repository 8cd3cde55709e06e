namespace Flamingo.Bench.Measuring;

/// <summary>
/// Counts the tokens that differ from expected answers. Each answer counts only up to its first difference, because later tokens
/// continue a different text.
/// </summary>
/// <param name="Compared">Number of tokens up to and including the first difference of each answer.</param>
public readonly record struct Flips(int Flipped, int Compared)
{
    public double Share => (double)Flipped / Compared;

    public static Flips operator +(Flips left, Flips right) => new(left.Flipped + right.Flipped, left.Compared + right.Compared);

    /// <summary>Counts the flips of several pairs of answers.</summary>
    public static Flips Between(IEnumerable<IReadOnlyList<int>> expected, IEnumerable<IReadOnlyList<int>> actual) =>
        expected.Zip(actual).Select(pair => Between(pair.First, pair.Second)).Aggregate(default(Flips), (sum, answer) => sum + answer);

    /// <summary>Counts the flips of the token ids of one answer.</summary>
    public static Flips Between(IReadOnlyList<int> expected, IReadOnlyList<int> actual)
    {
        var same = expected.Zip(actual).TakeWhile(pair => pair.First == pair.Second).Count();
        return same == expected.Count && same == actual.Count ? new Flips(0, same) : new Flips(1, same + 1);
    }
}
