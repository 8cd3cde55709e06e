using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Gateway.SupportSets;

/// <summary>
/// Several rankings of the same candidates as one (Alayrac et al. 2022, section 3.2: log-likelihoods over permutations of the shots).
/// </summary>
public static class RankingEnsemble
{
    /// <param name="rankings">At least one; of the same candidates, which are tokenized alone and so have the same ids in all.</param>
    /// <returns>
    /// The mean of the log-likelihoods, token by token; the sum of the counts; and the longest time, because they run beside each other.
    /// </returns>
    public static Ranking Mean(IReadOnlyList<Ranking> rankings) => rankings[0] with
    {
        Candidates = [.. rankings[0].Candidates.Select((candidate, place) => candidate with
        {
            TokenLogLikelihoods =
            [
                .. candidate.TokenLogLikelihoods.Select((_, token) =>
                    rankings.Average(ranking => ranking.Candidates[place].TokenLogLikelihoods[token])),
            ],
        })],
        PromptTokens = rankings.Sum(ranking => ranking.PromptTokens),
        CachedTokens = rankings.Sum(ranking => ranking.CachedTokens),
        Prefill = rankings.Max(ranking => ranking.Prefill),
    };
}
