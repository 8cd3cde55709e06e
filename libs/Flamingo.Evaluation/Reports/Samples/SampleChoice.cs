using Flamingo.Evaluation.Runs;

namespace Flamingo.Evaluation.Reports.Samples;

/// <summary>
/// Chooses the answers of a benchmark that a report shows. Each group, selection, ablation, number of shots and trial gets the same number
/// of places, as far as it has answers. Three quarters of them go to its worst answers, and one quarter to answers from the whole rest, the
/// best included, so that readers also see what goes well.
/// </summary>
public static class SampleChoice
{
    /// <returns>The worst first.</returns>
    public static IReadOnlyList<ScoredItem> Choose(IEnumerable<ScoredItem> items, int most)
    {
        var conditions = items.Where(item => item.Score is { } score && double.IsFinite(score))
            .GroupBy(item => (item.Answer.Group, item.Answer.Condition))
            .Select(condition => WorstFirst(condition).ToList()).ToList();
        var places = Places([.. conditions.Select(condition => condition.Count)], most);
        return [.. WorstFirst(conditions.Zip(places).SelectMany(one => Of(one.First, one.Second)))];
    }

    // Equal scores are ordered by a hash of the id and not as in the file, whose first pages are often alike. The order is the same for all
    // conditions, so that the same query tends to be shown with several numbers of shots.
    private static IOrderedEnumerable<ScoredItem> WorstFirst(IEnumerable<ScoredItem> items) =>
        items.OrderBy(item => item.Score).ThenBy(item => Hash(item.Answer.Id)).ThenBy(item => item.Answer.Id, StringComparer.Ordinal);

    private static IEnumerable<ScoredItem> Of(IReadOnlyList<ScoredItem> worstFirst, int places)
    {
        if (places >= worstFirst.Count) return worstFirst;
        var worst = places - (places / 4);
        var (rest, others) = (worstFirst.Count - worst, places - worst);
        return worstFirst.Take(worst).Concat(
            Enumerable.Range(1, others).Select(one => worstFirst[worst + (int)((long)one * rest / others) - 1]));
    }

    // One place after the other to each condition that has answers left.
    private static int[] Places(int[] counts, int most)
    {
        var places = new int[counts.Length];
        for (var (left, before) = (most, -1); left > 0 && left != before;)
        {
            before = left;
            for (var index = 0; index < counts.Length && left > 0; index++)
                if (places[index] < counts[index]) (places[index], left) = (places[index] + 1, left - 1);
        }

        return places;
    }

    // FNV-1a, because string.GetHashCode differs from process to process.
    private static uint Hash(string text) => text.Aggregate(2166136261u, (hash, letter) => (hash ^ letter) * 16777619u);
}
