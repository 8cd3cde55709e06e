namespace Flamingo.Bench.Measuring;

/// <summary>Tokens that came out otherwise than they should. The first divergence of an answer is one; what follows it answers another prompt and is not compared.</summary>
/// <param name="Compared">Tokens up to and including each first divergence.</param>
public readonly record struct Flips(int Flipped, int Compared)
{
    public double Share => (double)Flipped / Compared;

    public static Flips operator +(Flips left, Flips right) => new(left.Flipped + right.Flipped, left.Compared + right.Compared);

    /// <summary>Of answers in pairs.</summary>
    public static Flips Between(IEnumerable<IReadOnlyList<int>> expected, IEnumerable<IReadOnlyList<int>> actual) =>
        expected.Zip(actual).Select(pair => Between(pair.First, pair.Second)).Aggregate(default(Flips), (sum, answer) => sum + answer);

    /// <summary>Of one answer's token ids.</summary>
    public static Flips Between(IReadOnlyList<int> expected, IReadOnlyList<int> actual)
    {
        var same = expected.Zip(actual).TakeWhile(pair => pair.First == pair.Second).Count();
        return same == expected.Count && same == actual.Count ? new Flips(0, same) : new Flips(1, same + 1);
    }
}
