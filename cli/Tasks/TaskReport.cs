using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Flamingo.Abstractions;
using Flamingo.Cli.Generating;
using Flamingo.Cli.Reporting;

namespace Flamingo.Cli.Tasks;

/// <summary>
/// Writes the result of a task as lines or as one JSON object. The object's members are a contract with callers' scripts.
/// </summary>
public static class TaskReport
{
    private sealed record Answer(
        string Text, IReadOnlyList<int> Ids, string FinishReason, int PromptTokens, IReadOnlyList<PromptReport.Picture> Pictures,
        PromptReport.CacheSaved Cache, PromptReport.Timings Timings)
    {
        /// <summary>The seed of a sampled answer; the same seed gives the same answer. Null for greedy answers.</summary>
        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public ulong? Seed { get; init; }

        /// <summary>The shots that were selected from a support set; null without one.</summary>
        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public PromptReport.ShotsDrawn? Shots { get; init; }
    }

    private sealed record Labels(
        [property: JsonPropertyName("labels")] IReadOnlyList<ScoredLabel> Scored, int PromptTokens,
        IReadOnlyList<PromptReport.Picture> Pictures, PromptReport.CacheSaved Cache, PromptReport.Timings Timings)
    {
        /// <inheritdoc cref="Answer.Shots"/>
        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public PromptReport.ShotsDrawn? Shots { get; init; }
    }

    public static Option<bool> JsonOption() => new("--json")
    {
        Description = "Print one JSON object: the result, prompt_tokens, pictures, cache, timings (milliseconds); "
        + "also seed for a sampled answer, shots with --support-set.",
    };

    public static async Task WriteAsync(TaskAnswer answer, SamplingParameters sampling, bool json, TextWriter output, TextWriter error)
    {
        var (prompt, end, timings) = (PromptReport.Of(answer.Pictures), answer.Finished, PromptReport.Timings.Of(answer.Finished.Timings));
        if (json)
        {
            await output.WriteLineAsync(Json(answer, sampling));
            return;
        }

        await output.WriteLineAsync(answer.Text);
        var seed = sampling is { Temperature: > 0, Seed: null } ? $"; seed {end.Seed}" : "";
        await error.WriteLineAsync($"[{end.GeneratedTokens} tokens after {end.PromptTokens}, "
            + $"{AnswerJson.Name(end.Reason)}{prompt}; {timings}{seed}]");
    }

    /// <summary>A caption or an answer as one JSON object.</summary>
    public static string Json(TaskAnswer answer, SamplingParameters sampling)
    {
        var (prompt, end) = (PromptReport.Of(answer.Pictures), answer.Finished);
        var whole = new Answer(answer.Text, answer.Ids, AnswerJson.Name(end.Reason),
            end.PromptTokens, prompt.Pictures, prompt.Cache, PromptReport.Timings.Of(end.Timings))
        {
            Seed = sampling.Temperature > 0 ? end.Seed : null, Shots = prompt.Shots,
        };
        return JsonSerializer.Serialize(whole, Page.Json);
    }

    /// <summary>Scored labels as one JSON object.</summary>
    public static string Json(Classification found)
    {
        var (prompt, timings) = (PromptReport.Of(found.Ranking), PromptReport.Timings.Of(found.Ranking.Timings));
        var whole = new Labels(found.Labels, found.Ranking.PromptTokens, prompt.Pictures, prompt.Cache, timings) { Shots = prompt.Shots };
        return JsonSerializer.Serialize(whole, Page.Json);
    }

    public static async Task WriteAsync(Classification found, bool json, TextWriter output, TextWriter error)
    {
        var (prompt, timings) = (PromptReport.Of(found.Ranking), PromptReport.Timings.Of(found.Ranking.Timings));
        if (json)
        {
            await output.WriteLineAsync(Json(found));
            return;
        }

        foreach (var label in found.Labels)
            await output.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"{label.Score,10:0.0000} {label.Label}"));
        await error.WriteLineAsync($"[{found.Labels.Count} labels after {found.Ranking.PromptTokens}{prompt}; {timings}]");
    }
}
