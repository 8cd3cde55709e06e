using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Gateway.SupportSets;

/// <summary>Several rankings of the same candidates as one (Alayrac et al. 2022, section 3.2: log-likelihoods over permutations of the shots).</summary>
public static class RankingEnsemble
{
    /// <param name="rankings">At least one; of the same candidates, which are tokenized alone and so have the same ids in all.</param>
    /// <returns>Log-likelihoods as their mean, token by token; counts as their sum, and the longest time: they are asked side by side.</returns>
    public static Ranking Mean(IReadOnlyList<Ranking> rankings) => rankings[0] with
    {
        Candidates = [.. rankings[0].Candidates.Select((candidate, place) => candidate with
        {
            TokenLogLikelihoods = [.. candidate.TokenLogLikelihoods.Select((_, token) => rankings.Average(ranking => ranking.Candidates[place].TokenLogLikelihoods[token]))],
        })],
        PromptTokens = rankings.Sum(ranking => ranking.PromptTokens),
        CachedTokens = rankings.Sum(ranking => ranking.CachedTokens),
        Prefill = rankings.Max(ranking => ranking.Prefill),
    };
}
