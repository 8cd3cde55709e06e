namespace Flamingo.LanguageModel.Engine.Sampling;

/// <summary>A finished sequence of tokens.</summary>
/// <param name="Ids">Generated ids, the stop token included.</param>
/// <param name="Score">Log-likelihood divided by length ^ length penalty.</param>
public sealed record BeamHypothesis(IReadOnlyList<int> Ids, double Score, bool Stopped);

/// <summary>
/// Beam search as in transformers 4.33 (generation/beam_search.py, BeamSearchScorer with early_stopping=False). Each step
/// considers twice as many candidates as beams. A candidate that ends with a stop token becomes a hypothesis if it is among the
/// best. Lengths count the prompt and not the stop token. The search ends when no open beam can beat the worst kept hypothesis,
/// or at full length.
/// </summary>
public sealed class BeamSearch(int beams, float lengthPenalty, IReadOnlyCollection<int> stops, int promptTokens, int capacity)
{
    private readonly List<BeamHypothesis> _hypotheses = [];
    private List<(List<int> Ids, double Sum)> _open = [([], 0)];

    public bool IsDone { get; private set; }

    /// <summary>Tokens generated so far.</summary>
    public int Length => _open[0].Ids.Count;

    /// <param name="scores">Log-probabilities [vocabulary] of each open beam: one array at the first step, then one for each beam.</param>
    /// <returns>The beams of the next step: for each, the beam that it continues and the token that it adds.</returns>
    public IReadOnlyList<(int Parent, int Token)> Step(IReadOnlyList<float[]> scores)
    {
        var ranked = MostLikely(scores, Math.Max(2, 1 + stops.Count) * beams);
        var next = new List<(int Parent, int Token, double Sum)>(beams);
        foreach (var (rank, candidate) in ranked.Index())
        {
            if (next.Count == beams) break;
            if (!stops.Contains(candidate.Token)) next.Add(candidate);
            else if (rank < beams) Keep(_open[candidate.Parent].Ids, candidate.Sum, candidate.Token);
        }

        var length = promptTokens + Length + 1; // the scores of this step are divided by a power of it
        IsDone = next.Count == 0
            || (_hypotheses.Count == beams && _hypotheses.Min(kept => kept.Score) >= ranked[0].Sum / Math.Pow(length, lengthPenalty));
        if (next.Count > 0) _open = [.. next.Select(beam => ((List<int>)[.. _open[beam.Parent].Ids, beam.Token], beam.Sum))];
        if (IsDone || promptTokens + Length < capacity) return [.. next.Select(beam => (beam.Parent, beam.Token))];

        IsDone = true;
        foreach (var (ids, sum) in _open) Keep(ids, sum, null);
        return [];
    }

    /// <summary>The best hypotheses, best first. Of two with equal scores the later comes first, as in transformers.</summary>
    public IReadOnlyList<BeamHypothesis> Best(int count) => [.. _hypotheses.OrderBy(kept => kept.Score).Reverse().Take(count)];

    private void Keep(IReadOnlyList<int> ids, double sum, int? stop)
    {
        var score = sum / Math.Pow(promptTokens + ids.Count, lengthPenalty);
        if (_hypotheses.Count == beams)
        {
            var worst = _hypotheses.MinBy(kept => kept.Score)!;
            if (score <= worst.Score) return;
            _hypotheses.Remove(worst);
        }

        _hypotheses.Add(new BeamHypothesis(stop is { } token ? [.. ids, token] : ids, score, stop is not null));
    }

    private List<(int Parent, int Token, double Sum)> MostLikely(IReadOnlyList<float[]> scores, int count)
    {
        // the least likely candidate first
        var best = new PriorityQueue<(int Parent, int Token, double Sum), (double Sum, int Order)>(count + 1);
        var order = 0;
        foreach (var (parent, likelihoods) in scores.Index())
        {
            for (var token = 0; token < likelihoods.Length; token++, order--)
            {
                if (float.IsNegativeInfinity(likelihoods[token])) continue; // not among the allowed tokens
                var sum = _open[parent].Sum + likelihoods[token];
                if (best.Count < count) best.Enqueue((parent, token, sum), (sum, order));
                else if (best.TryPeek(out _, out var least) && sum > least.Sum) best.EnqueueDequeue((parent, token, sum), (sum, order));
            }
        }

        var ranked = new List<(int, int, double)>(best.Count);
        while (best.TryDequeue(out var candidate, out _)) ranked.Add(candidate);
        ranked.Reverse();
        return ranked;
    }
}
