namespace Flamingo.LanguageModel.Engine.Tests.Sampling;

/// <summary>
/// transformers 4.33, generation/utils.py beam_search and generation/beam_search.py BeamSearchScorer and BeamHypotheses
/// (early_stopping=False, one group), translated line by line for one prompt. It is slow and independent of the engine's own search. Where
/// it differs, a comment says so: transformers continues beams of no probability where too few tokens are possible.
/// </summary>
internal static class TransformersBeamSearch
{
    /// <param name="logProbabilities">Returns the processed log-probabilities [vocabulary] after the generated ids.</param>
    /// <param name="goOn">Called after every step of scores; the search continues if it returns true.</param>
    public static List<(IReadOnlyList<int> Ids, double Score, bool Stopped)> Search(
        Func<IReadOnlyList<int>, float[]> logProbabilities, Func<bool> goOn, int beams, float lengthPenalty, IReadOnlyCollection<int> eos,
        int promptTokens, int maxLength)
    {
        var inputs = Enumerable.Range(0, beams).Select(_ => new List<int>()).ToList();
        var beamScores = Enumerable.Range(0, beams).Select(beam => beam == 0 ? 0.0 : -1e9).ToArray(); // beam_scores[:, 1:] = -1e9
        var hypotheses = new List<(double Score, IReadOnlyList<int> Ids, bool Stopped)>();
        var worst = 1e9;

        void Add(IReadOnlyList<int> ids, double sum, int? stop)
        {
            var score = sum / Math.Pow(promptTokens + ids.Count, lengthPenalty); // hyp.shape[-1] ** length_penalty
            if (hypotheses.Count >= beams && score <= worst) return;
            hypotheses.Add((score, stop is { } id ? [.. ids, id] : ids, stop is not null));
            if (hypotheses.Count <= beams)
            {
                worst = Math.Min(score, worst);
                return;
            }

            var sorted = hypotheses.Select((hypothesis, index) => (hypothesis.Score, index)).Order().ToList();
            hypotheses.RemoveAt(sorted[0].index);
            worst = sorted[1].Score;
        }

        var done = false;
        while (true)
        {
            var scores = inputs.SelectMany(
                (ids, beam) => logProbabilities(ids).Select((score, token) => (Score: beamScores[beam] + score, Beam: beam, Token: token)))
                .ToList();
            if (!goOn()) return [];
            scores.RemoveAll(score => score.Score < -1e8); // transformers keeps impossible tokens and the beams that have not begun
            var top = scores.OrderByDescending(score => score.Score).Take(Math.Max(2, 1 + eos.Count) * beams).ToList();

            var currentLength = promptTokens + inputs[0].Count + 1;
            var next = new List<(double Score, int Beam, int Token)>();
            foreach (var (rank, (score, beam, token)) in top.Index())
            {
                if (eos.Contains(token))
                {
                    if (rank >= beams) continue;
                    Add([.. inputs[beam]], score, token);
                }
                else
                {
                    next.Add((score, beam, token));
                }

                if (next.Count == beams) break;
            }

            done = next.Count == 0; // transformers fails where fewer than beams are left
            if (done) break;
            done = hypotheses.Count >= beams && worst >= top.Max(candidate => candidate.Score) / Math.Pow(currentLength, lengthPenalty);
            inputs = [.. next.Select(beam => (List<int>)[.. inputs[beam.Beam], beam.Token])];
            beamScores = [.. next.Select(beam => beam.Score)];
            if (done || promptTokens + inputs[0].Count >= maxLength) break;
        }

        if (!done) foreach (var (ids, score) in inputs.Zip(beamScores)) Add(ids, score, null); // finalize
        var last = hypotheses.OrderBy(hypothesis => hypothesis.Score).ToList(); // stable, then pop
        last.Reverse();
        return [.. last.Select(hypothesis => (hypothesis.Ids, hypothesis.Score, hypothesis.Stopped))];
    }
}
