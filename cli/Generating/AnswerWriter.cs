using System.Globalization;
using System.Runtime.CompilerServices;
using Flamingo.Abstractions;
using static Flamingo.Cli.Generating.AnswerJson;

namespace Flamingo.Cli.Generating;

/// <summary>
/// Writes a single answer as text while it arrives, several answers one per line once they are complete, or one JSON object.
/// </summary>
/// <param name="cachedTokens">Whether the JSON object contains the number of cached prompt tokens.</param>
public sealed class AnswerWriter(TextWriter output, TextWriter error, SamplingParameters sampling, bool json, bool cachedTokens)
{
    public async Task<Answer> WriteAsync(IAsyncEnumerable<AnswerEvent> answer, CancellationToken cancellation)
    {
        var streams = !json && sampling is { Samples: 1, Beams: 1 };
        var (gathered, written) = (new AnswerBuilder(), false);
        try
        {
            await foreach (var part in answer.WithCancellation(cancellation))
            {
                gathered.Add(part);
                if (!streams || part is not AnswerTokens { Text.Length: > 0 } tokens) continue;
                await output.WriteAsync(tokens.Text);
                written = true;
            }
        }
        finally
        {
            // An error message about an interrupted answer must begin on a new line.
            if (written) await output.WriteLineAsync();
        }

        var whole = gathered.Build();
        if (json)
        {
            await output.WriteLineAsync(Write(whole, sampling, cachedTokens));
            return whole;
        }

        if (!streams)
            foreach (var sample in whole.Samples) await output.WriteLineAsync(sample.Text);
        if (sampling.LogProbabilities is not null)
            foreach (var line in LogProbabilities(whole)) await error.WriteLineAsync(line);
        await error.WriteLineAsync(Summary(whole));
        return whole;
    }

    private static IEnumerable<string> LogProbabilities(Answer whole) =>
        from sample in whole.Samples
        from token in sample.LogProbabilities
        let likely = string.Join(", ", token.Top.Select(top => Line($"{top.Id} {top.LogProbability:0.0000}")))
        select Line($"[token {token.Id} {token.LogProbability:0.0000}") + (likely.Length > 0 ? $"; likely: {likely}]" : "]");

    private static string Line(DefaultInterpolatedStringHandler text) => string.Create(CultureInfo.InvariantCulture, ref text);

    private string Summary(Answer whole)
    {
        var finished = whole.Finished;
        var scores = finished.Samples.Where(sample => sample.Score is not null)
            .Select(sample => sample.Score!.Value.ToString("0.0000", CultureInfo.InvariantCulture)).ToArray();
        var cached = finished.CachedTokens > 0 ? $" ({finished.CachedTokens} cached)" : "";
        return $"[{finished.GeneratedTokens} tokens after {finished.PromptTokens}{cached}, {Name(finished.Reason)}"
            + (scores.Length > 0 ? $"; scores: {string.Join(", ", scores)}" : "")
            + $"{PromptReport.Of(whole)}; {PromptReport.Timings.Of(finished.Timings)}"
            + (sampling is { Temperature: > 0, Seed: null } ? $"; seed {finished.Seed}]" : "]");
    }
}
