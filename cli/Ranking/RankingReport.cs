using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Flamingo.Abstractions;
using Flamingo.Cli.Generating;
using Flamingo.Cli.Reporting;

namespace Flamingo.Cli.Ranking;

/// <summary>
/// Writes a ranking as lines, the most likely candidate first, or as one JSON object. The object's members are a contract with callers'
/// scripts.
/// </summary>
public static class RankingReport
{
    private sealed record RankingObject(
        IReadOnlyList<Candidate> Candidates, int PromptTokens, IReadOnlyList<PromptReport.Picture> Pictures, PromptReport.CacheSaved Cache,
        PromptReport.Timings Timings)
    {
        /// <summary>The shots that were selected from a support set; null without one.</summary>
        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public PromptReport.ShotsDrawn? Shots { get; init; }

        /// <summary>Number of prompt tokens from the prefix cache; null without a pinned prefix.</summary>
        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public int? CachedTokens { get; init; }
    }

    /// <param name="LogLikelihood">Sum over the candidate's tokens, natural logarithm.</param>
    private sealed record Candidate(string Text, IReadOnlyList<int> Ids, IReadOnlyList<float> TokenLogLikelihoods, double LogLikelihood);

    public static string Json(FlamingoRanking ranking, FlamingoRankRequest request)
    {
        var prompt = PromptReport.Of(ranking);
        var whole = new RankingObject(
            [.. ranking.Candidates.Select(candidate =>
                new Candidate(candidate.Text, candidate.Ids, candidate.TokenLogLikelihoods, candidate.Sum))],
            ranking.PromptTokens, prompt.Pictures, prompt.Cache, PromptReport.Timings.Of(ranking.Timings))
        {
            Shots = prompt.Shots, CachedTokens = request.PinPrefix is null ? null : ranking.CachedTokens,
        };
        return JsonSerializer.Serialize(whole, Page.Json);
    }

    public static async Task WriteAsync(FlamingoRanking ranking, TextWriter output, TextWriter error)
    {
        foreach (var candidate in ranking.Candidates.OrderByDescending(candidate => candidate.Sum))
            await output.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"{candidate.Sum,10:0.0000} {candidate.Text}"));
        var cached = ranking.CachedTokens > 0 ? $" ({ranking.CachedTokens} cached)" : "";
        await error.WriteLineAsync($"[{ranking.Candidates.Count} candidates after {ranking.PromptTokens}{cached}"
            + $"{PromptReport.Of(ranking)}; {PromptReport.Timings.Of(ranking.Timings)}]");
    }
}
