using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Flamingo.Abstractions;
using Flamingo.Cli.Generating;
using Flamingo.Cli.Reporting;

namespace Flamingo.Cli.Ranking;

/// <summary>A ranking as lines, the likeliest first, or as one JSON object; scripts outside depend on its members.</summary>
public static class RankingReport
{
    private sealed record Whole(
        IReadOnlyList<Candidate> Candidates, int PromptTokens, IReadOnlyList<PromptReport.Picture> Pictures, PromptReport.CacheSaved Cache,
        PromptReport.Timings Timings)
    {
        /// <summary>With a support set.</summary>
        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public PromptReport.ShotsDrawn? Shots { get; init; }

        /// <summary>With a pinned prefix.</summary>
        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public int? CachedTokens { get; init; }
    }

    /// <param name="LogLikelihood">The sum over its tokens.</param>
    private sealed record Candidate(string Text, IReadOnlyList<int> Ids, IReadOnlyList<float> TokenLogLikelihoods, double LogLikelihood);

    public static string Json(FlamingoRanking ranking, FlamingoRankRequest request)
    {
        var prompt = PromptReport.Of(ranking);
        var whole = new Whole(
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
