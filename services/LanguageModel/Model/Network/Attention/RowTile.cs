namespace Flamingo.LanguageModel.Network.Attention;

/// <summary>Adjacent rows of a call that share a block table.</summary>
/// <param name="Longest">Largest number of keys that one of the rows attends to.</param>
internal readonly record struct RowTile(int First, int Count, int Longest)
{
    /// <summary>Splits rows into tiles of at most <paramref name="most"/> rows, in order. Rows of length 0 are in no tile.</summary>
    public static List<RowTile> Split(ReadOnlySpan<AttentionRow> rows, int most)
    {
        var tiles = new List<RowTile>();
        for (var (first, next) = (0, 0); first < rows.Length; first = next)
        {
            var (table, longest) = (rows[first].Table, 0);
            for (next = first; next < rows.Length && next - first < most && rows[next].Length > 0 && rows[next].Table == table; next++)
                longest = Math.Max(longest, rows[next].Length);
            if (next > first) tiles.Add(new RowTile(first, next - first, longest));
            else next++;
        }

        return tiles;
    }
}
