using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Gateway.SupportSets;

/// <summary>
/// Combines several rankings of the same candidates (Alayrac et al. 2022, section 3.2: log-likelihoods over permutations of the shots).
/// </summary>
public static class RankingEnsemble
{
    /// <param name="rankings">At least one ranking, all of the same candidates. Candidates are tokenized separately from the
    /// prompt, so their ids are equal in all rankings.</param>
    /// <returns>
    /// A ranking with the mean of the log-likelihoods of each token, the sum of the token counts, and the longest prefill time,
    /// because the rankings run concurrently.
    /// </returns>
    public static Ranking Mean(IReadOnlyList<Ranking> rankings) => rankings[0] with
    {
        Candidates = [.. rankings[0].Candidates.Select((candidate, index) => candidate with
        {
            TokenLogLikelihoods =
            [
                .. candidate.TokenLogLikelihoods.Select((_, token) =>
                    rankings.Average(ranking => ranking.Candidates[index].TokenLogLikelihoods[token])),
            ],
        })],
        PromptTokens = rankings.Sum(ranking => ranking.PromptTokens),
        CachedTokens = rankings.Sum(ranking => ranking.CachedTokens),
        Prefill = rankings.Max(ranking => ranking.Prefill),
    };
}
