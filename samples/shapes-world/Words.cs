// The new words of the world: two syllables each, 256 in all.

internal static class Words
{
    private static readonly string[] Syllables =
        ["ba", "do", "ki", "lu", "me", "no", "pi", "ra", "su", "te", "vo", "wa", "zi", "fe", "gu", "ja"];

    // The words of tests/reference/shapes/evaluation. A bridge that is measured there must not have met them before.
    private static readonly HashSet<string> Reserved = ReadReserved();

    private static readonly string[] Free =
        [.. from first in Syllables from second in Syllables where !Reserved.Contains(first + second) select first + second];

    /// <summary>Four of five words that are left: those of the training data.</summary>
    public static IReadOnlyList<string> Training { get; } = [.. Free.Where((_, index) => index % 5 != 4)];

    /// <summary>Every fifth word that is left: those of this program's own evaluations.</summary>
    public static IReadOnlyList<string> Evaluation { get; } = [.. Free.Where((_, index) => index % 5 == 4)];

    private static HashSet<string> ReadReserved()
    {
        using var stream = typeof(Words).Assembly.GetManifestResourceStream("evaluation-words.txt")!;
        using var reader = new StreamReader(stream);
        return [.. reader.ReadToEnd().Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)];
    }
}
