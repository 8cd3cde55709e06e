namespace Flamingo.LanguageModel.Network.Attention;

/// <summary>Neighbouring rows of a call that share a block table.</summary>
/// <param name="Longest">The most keys that one of them sees.</param>
internal readonly record struct RowTile(int First, int Count, int Longest)
{
    /// <summary>Tiles of at most <paramref name="most"/> rows, in order; rows that see nothing are in none.</summary>
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
