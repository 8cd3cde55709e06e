namespace Flamingo.Evaluation.Metrics;

/// <summary>Area under the receiver operating characteristic: how often a positive item has a higher score than a negative one.</summary>
public static class RocAuc
{
    /// <param name="positive">Whether each item is positive.</param>
    /// <param name="scores">One for each item; equal scores of a positive and a negative item count as half.</param>
    /// <returns>0 to 1; NaN where all items are positive or all are negative, for which the area is not defined.</returns>
    public static double Of(IReadOnlyList<bool> positive, IReadOnlyList<double> scores)
    {
        if (positive.Count != scores.Count)
            throw new ArgumentException($"There are {positive.Count} labels for {scores.Count} scores.", nameof(scores));
        var order = Enumerable.Range(0, scores.Count).OrderBy(item => scores[item]).ToArray();
        double rankSum = 0;
        long positives = positive.Count(label => label), negatives = positive.Count - positives;
        for (int first = 0, next; first < order.Length; first = next)
        {
            for (next = first + 1; next < order.Length && scores[order[next]].Equals(scores[order[first]]);) next++;
            var rank = (first + 1 + next) / 2.0; // the mean rank of items with equal scores; ranks begin at 1
            for (var item = first; item < next; item++)
                if (positive[order[item]]) rankSum += rank;
        }

        return (rankSum - positives * (positives + 1) / 2.0) / ((double)positives * negatives);
    }
}
